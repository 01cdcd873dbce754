package memsource_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// TestKeysStayInTheirLineage: a key has one open shard at any time, and after a change of shards it is in a child of the old one.
func TestKeysStayInTheirLineage(t *testing.T) {
	s := memsource.New("orders", &memsource.Config{Shards: 2})
	keys := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	first := s.OpenShards()
	before := shardsOf(t, s, keys)
	left, right, err := s.Split(first[0])
	if err != nil {
		t.Fatal(err)
	}
	split := shardsOf(t, s, keys)
	child := must[string](t)(s.Merge(right, first[1]))
	merged := shardsOf(t, s, keys)
	for _, k := range keys {
		if before[k] == first[1] && split[k] != first[1] {
			t.Errorf("key %s moved from %s to %s, which is no child of it", k, before[k], split[k])
		}
		if before[k] == first[0] && split[k] != left && split[k] != right {
			t.Errorf("key %s of the split shard is in %s", k, split[k])
		}
		if want := map[bool]string{true: left, false: child}[split[k] == left]; merged[k] != want {
			t.Errorf("key %s is in %s after the merge, want %s", k, merged[k], want)
		}
	}
	if n := len(distinct(split)); n != 3 {
		t.Errorf("the keys are in %d of three shards", n)
	}
}

func TestDisabledStreamCanBeReadOn(t *testing.T) {
	s := memsource.New("orders", nil)
	shard, _ := fill(t, s, "a")
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	s.Disable()
	if _, err := s.Stream(t.Context()); !errors.Is(err, consumer.ErrNoStream) {
		t.Errorf("Stream: %v", err)
	}
	if _, _, err := s.Put("key", []byte("b")); !errors.Is(err, memsource.ErrClosed) {
		t.Errorf("put: %v", err)
	}
	r := must[consumer.Reader](t)(s.Open(t.Context(), st, consumer.Shard{ID: shard}, checkpoint.Start{}))
	p := next(t, r)
	mustGive(t, p, "a")
	if !p.End || len(p.Children) > 0 {
		t.Errorf("end %t with %d children, want the end without children", p.End, len(p.Children))
	}
}

func TestChangesOfClosedOrUnknownShardsAreRefused(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	if _, err := s.Merge(shard, shard); err == nil {
		t.Error("a shard was merged with itself")
	}
	if err := s.CloseShard(shard); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]error{shard: memsource.ErrClosed, "shardId-9": consumer.ErrNoShard} {
		_, put := s.PutTo(id, "key", nil)
		_, roll := s.Roll(id)
		_, _, split := s.Split(id)
		for _, err := range []error{put, roll, split} {
			if !errors.Is(err, want) {
				t.Errorf("a change of shard %s: %v, want %v", id, err, want)
			}
		}
	}
}

func TestVanishedParentIsStillNamed(t *testing.T) {
	s := memsource.New("orders", nil)
	parent := s.OpenShards()[0]
	must[string](t)(s.Roll(parent))
	if err := s.Vanish(parent); err != nil {
		t.Fatal(err)
	}
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	if _, err := s.Open(t.Context(), st, consumer.Shard{ID: parent}, checkpoint.Start{}); !errors.Is(err, consumer.ErrNoShard) {
		t.Errorf("open the vanished shard: %v", err)
	}
	for sh, err := range s.Shards(t.Context(), st) {
		if err != nil || sh.ID == parent || !slices.Equal(sh.Parents, []string{parent}) {
			t.Errorf("the listing has %+v, %v", sh, err)
		}
	}
	if err := s.Vanish(parent); !errors.Is(err, consumer.ErrNoShard) {
		t.Errorf("vanish again: %v", err)
	}
}
