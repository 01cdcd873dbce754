package memsource_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

var errBroken = errors.New("broken")

func TestFaultHitsItsCallsOnly(t *testing.T) {
	s := memsource.New("orders", &memsource.Config{Shards: 2, Poll: time.Millisecond})
	shards := s.OpenShards()
	hit, spared := open(t, s, shards[0], checkpoint.Start{}), open(t, s, shards[1], checkpoint.Start{})
	s.Inject(memsource.Fault{Op: memsource.OpNext, Shard: shards[0], Times: 2, Err: errBroken})
	open(t, s, shards[0], checkpoint.Start{})
	next(t, spared)
	for range 2 {
		if _, err := hit.Next(t.Context(), consumer.Want{}); !errors.Is(err, errBroken) {
			t.Errorf("Next: %v", err)
		}
	}
	next(t, hit)
}

func TestFaultLastsUntilLifted(t *testing.T) {
	s := memsource.New("orders", nil)
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	lift := s.Inject(memsource.Fault{Err: errBroken})
	for range 3 {
		_, describe := s.Stream(t.Context())
		_, pin := s.Pin(t.Context(), st, checkpoint.Latest())
		_, open := s.Open(t.Context(), st, consumer.Shard{ID: s.OpenShards()[0]}, checkpoint.Start{})
		var list error
		for _, err := range s.Shards(t.Context(), st) {
			list = err
		}
		for _, err := range []error{describe, pin, open, list} {
			if !errors.Is(err, errBroken) {
				t.Errorf("got %v", err)
			}
		}
	}
	lift()
	must[consumer.Stream](t)(s.Stream(t.Context()))
}

func TestReaderAbsorbsThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, _ := fill(t, s, "a")
		r := open(t, s, shard, checkpoint.Start{})
		s.Inject(memsource.Fault{Op: memsource.OpNext, Throttle: true, Times: 3})
		mustGive(t, next(t, r), "a")
	})
}

func TestReaderTellsOfALongThrottleAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, _ := fill(t, s, "a")
		r := open(t, s, shard, checkpoint.Start{})
		lift := s.Inject(memsource.Fault{Throttle: true})
		began := time.Now()
		_, err := r.Next(t.Context(), consumer.Want{})
		if took := time.Since(began); !errors.Is(err, memsource.ErrThrottled) || took < 5*time.Second || took > 7*time.Second {
			t.Errorf("after %v: %v; want ErrThrottled after 5 s", took, err)
		}
		lift()
		mustGive(t, next(t, r), "a")
	})
}

func TestOldestFaultFailsTheCallAndIsSpentAlone(t *testing.T) {
	s := memsource.New("orders", nil)
	younger := errors.New("younger")
	s.Inject(memsource.Fault{Err: errBroken, Times: 1})
	s.Inject(memsource.Fault{Err: younger, Times: 1})
	for _, want := range []error{errBroken, younger, nil} {
		if _, err := s.Stream(t.Context()); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestFaultThatChangesNothingIsNotSpent(t *testing.T) {
	s := memsource.New("orders", nil)
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	late := ""
	s.Inject(memsource.Fault{Op: memsource.OpShards, Hide: func(id string) bool { return id == late }, Times: 1})
	for _, want := range []int{1, 1, 2} {
		n := 0
		for _, err := range s.Shards(t.Context(), st) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("the listing has %d shards, want %d", n, want)
		}
		if late == "" {
			late = s.AddShard()
		}
	}
}

func TestDelaysAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, _ := fill(t, s, "a")
		r := open(t, s, shard, checkpoint.Start{})
		s.Inject(memsource.Fault{Op: memsource.OpNext, Delay: time.Minute, Times: 1})
		s.Inject(memsource.Fault{Op: memsource.OpNext, Delay: time.Second, Err: errBroken, Times: 1})
		mustTake(t, time.Minute+time.Second, func() {
			if _, err := r.Next(t.Context(), consumer.Want{}); !errors.Is(err, errBroken) {
				t.Errorf("Next: %v", err)
			}
		})
		mustTake(t, 0, func() { mustGive(t, next(t, r), "a") })
	})
}

func TestHangEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, _ := fill(t, s, "a")
		r := open(t, s, shard, checkpoint.Start{})
		s.Inject(memsource.Fault{Op: memsource.OpNext, Hang: true, Times: 1})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errBroken)
		defer cancel()
		mustTake(t, time.Hour, func() {
			if _, err := r.Next(ctx, consumer.Want{}); !errors.Is(err, errBroken) {
				t.Errorf("Next: %v", err)
			}
		})
		mustGive(t, next(t, r), "a")
	})
}

// TestExpiredIterator is hazard 24: the shard is opened again after the last record given, which can fail as any opening does.
func TestExpiredIterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", &memsource.Config{PageRecords: 1})
		shard, _ := fill(t, s, "a", "b", "c")
		r := open(t, s, shard, checkpoint.Start{})
		mustGive(t, next(t, r), "a")
		s.Inject(memsource.Fault{Expire: true, Times: 2})
		mustGive(t, next(t, r), "b")
		s.Inject(memsource.Fault{Expire: true, Times: 1})
		s.Inject(memsource.Fault{Op: memsource.OpOpen, Err: errBroken, Times: 1})
		if _, err := r.Next(t.Context(), consumer.Want{}); !errors.Is(err, errBroken) {
			t.Errorf("Next whose reopening fails: %v", err)
		}
		mustGive(t, next(t, r), "c")
	})
}

// TestExpiredLatest is hazard 2: LATEST is not asked for again when an iterator expires that has given nothing yet.
func TestExpiredLatest(t *testing.T) {
	s := memsource.New("orders", nil)
	shard, ps := fill(t, s, "a", "b")
	r := open(t, s, shard, checkpoint.Latest())
	fill(t, s, "c")
	s.Inject(memsource.Fault{Expire: true, Times: 1})
	mustGive(t, next(t, r), "c")

	empty := s.AddShard()
	r = open(t, s, empty, checkpoint.Latest())
	must[checkpoint.Position](t)(s.PutTo(empty, "key", []byte("d")))
	s.Inject(memsource.Fault{Expire: true, Times: 1})
	mustGive(t, next(t, r), "d")

	r = open(t, s, shard, checkpoint.After(ps[0]))
	s.Inject(memsource.Fault{Expire: true, Times: 1})
	mustGive(t, next(t, r), "b", "c")
}

func TestIteratorThatExpiresForEverIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, _ := fill(t, s, "a")
		r := open(t, s, shard, checkpoint.Start{})
		lift := s.Inject(memsource.Fault{Expire: true})
		if p, err := r.Next(t.Context(), consumer.Want{}); err == nil {
			t.Errorf("Next gave %v", data(p))
		}
		lift()
		mustGive(t, next(t, r), "a")
	})
}

func TestShortPagesLoseNothing(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	must[checkpoint.Position](t)(s.PutAggregate(shard, "key", []byte("a"), []byte("b"), []byte("c"), []byte("d")))
	if err := s.CloseShard(shard); err != nil {
		t.Fatal(err)
	}
	r := open(t, s, shard, checkpoint.Start{})
	s.Inject(memsource.Fault{Short: 3, Times: 1})
	p := next(t, r)
	mustGive(t, p, "a", "b", "c")
	if p.End {
		t.Error("a short page ended the shard")
	}
	p = next(t, r)
	mustGive(t, p, "d")
	if !p.End {
		t.Error("the last page does not end the shard")
	}
}

// TestHiddenChildren is hazard 13: the end of a shard may name none of its children, or one of two.
func TestHiddenChildren(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	left, right, err := s.Split(shard)
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(memsource.Fault{Op: memsource.OpNext, Hide: memsource.HideAll, Times: 1})
	if p := next(t, open(t, s, shard, checkpoint.Start{})); !p.End || len(p.Children) != 0 {
		t.Errorf("end %t with %v", p.End, p.Children)
	}
	s.Inject(memsource.Fault{Op: memsource.OpNext, Hide: func(id string) bool { return id == left }, Times: 1})
	if p := next(t, open(t, s, shard, checkpoint.Start{})); len(p.Children) != 1 || p.Children[0].ID != right {
		t.Errorf("children %v, want %s", p.Children, right)
	}
	if p := next(t, open(t, s, shard, checkpoint.Start{})); len(p.Children) != 2 {
		t.Errorf("children %v, want both", p.Children)
	}
}

// TestPartialListing is hazard 12: a listing that misses a parent shows its children all the same.
func TestPartialListing(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	child := must[string](t)(s.Roll(shard))
	s.Inject(memsource.Fault{Op: memsource.OpShards, Hide: func(id string) bool { return id == shard }, Times: 1})
	for _, want := range [][]string{{child}, {shard, child}} {
		st := must[consumer.Stream](t)(s.Stream(t.Context()))
		var ids []string
		for sh, err := range s.Shards(t.Context(), st) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, sh.ID)
		}
		if len(ids) != len(want) || ids[0] != want[0] {
			t.Errorf("the listing is %v, want %v", ids, want)
		}
	}
}
