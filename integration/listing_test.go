//go:build engines

package integration

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/runnelhq/runnel/consumer"
)

// listedShard is what tells shards apart in listings of both services.
type listedShard struct {
	ShardID               string `json:"ShardId"`
	ParentShardID         string `json:"ParentShardId"`
	AdjacentParentShardID string `json:"AdjacentParentShardId"`
}

func (s listedShard) parents() []string { return []string{s.ParentShardID, s.AdjacentParentShardID} }

// without rewrites a listing of either service, or the children in a page of Kinesis, without the shards to be hidden.
func without(body []byte, hide func(s listedShard) bool) []byte {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return body
	}
	for _, field := range []string{"StreamDescription", "Shards"} {
		text, ok := all[field]
		switch {
		case !ok:
			continue
		case field == "Shards":
			all[field] = withoutIn(text, hide)
		default:
			all[field] = without(text, hide)
		}
	}
	out, err := json.Marshal(all)
	if err != nil {
		return body
	}
	return out
}

func withoutIn(list json.RawMessage, hide func(s listedShard) bool) json.RawMessage {
	var all []json.RawMessage
	if json.Unmarshal(list, &all) != nil {
		return list
	}
	all = slices.DeleteFunc(all, func(text json.RawMessage) bool {
		var s listedShard
		return json.Unmarshal(text, &s) == nil && hide(s)
	})
	return append(append([]byte{'['}, bytes.Join(rawToBytes(all), []byte{','})...), ']')
}

func rawToBytes(all []json.RawMessage) [][]byte {
	out := make([][]byte, len(all))
	for i, text := range all {
		out[i] = text
	}
	return out
}

// hiding is a fault that hides shards from every listing while it is on.
type hiding struct {
	off  atomic.Bool
	hid  atomic.Int64
	hide func(s listedShard) bool
}

func (h *hiding) fault(r *request) (*response, error) {
	lists := r.Op == "DescribeStream" || r.Op == "ListShards"
	if h.off.Load() || !lists && !(r.Op == "GetRecords" && r.Service == kinesisService) {
		return r.send()
	}
	return r.rewritten(func(_ int, body []byte) []byte {
		if !lists {
			return bytes.Replace(body, []byte(`"ChildShards":[{`), []byte(`"NoChildShards":[{`), 1)
		}
		return without(body, func(s listedShard) bool {
			if !h.hide(s) {
				return false
			}
			h.hid.Add(1)
			return true
		})
	})
}

// resharding is a stream with one shard that can be resharded, of each service.
func resharding(t *testing.T, f func(t *testing.T, b *bench, reshard func() (closed string))) {
	t.Helper()
	t.Parallel()
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, s := onKinesis(t, 1)
		f(t, b, func() string {
			sh := s.open(t)[0]
			s.split(t, sh)
			return aws.ToString(sh.ShardId)
		})
	})
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		b, d := onTable(t)
		f(t, b, func() string {
			open := b.stream.(*table).openShard(t, b.clients)
			if err := d.Rollover(t.Context()); err != nil {
				t.Fatal(err)
			}
			return open
		})
	})
}

// A parent that is missing from a listing, and which the service still knows, does not release its children.
func TestHazard12_ParentMissingFromAListingHoldsItsChildren(t *testing.T) {
	resharding(t, func(t *testing.T, b *bench, reshard func() string) {
		b.put(t, keys(10), 3)
		parent := reshard()
		b.put(t, keys(10), 3)
		h := &hiding{hide: func(s listedShard) bool { return s.ShardID == parent }}
		l := run(t, b.config("worker", through(b.clients, h.fault)))
		eventually(t, says("the parent was not hidden twice"), func() bool { return h.hid.Load() >= 2 })
		pause(t, 2*steady.List)
		if n := b.log.distinct(); n > 0 {
			t.Errorf("%d items were handled before their parent was found", n)
		}
		h.off.Store(true)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// A parent that is gone from the service does not block its children.
func TestHazard12_ParentThatIsGoneReleasesItsChildren(t *testing.T) {
	t.Parallel()
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		b, d := onTable(t)
		if err := d.Rollover(t.Context()); err != nil {
			t.Fatal(err)
		}
		dilate(t, d, 49*time.Hour)
		b.put(t, keys(10), 3)
		cfg := b.config("worker", b.clients)
		cfg.Failure.OnTrimmed = consumer.SkipGap // it is listed still, and cannot be read
		l := run(t, cfg)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, s := onKinesis(t, 1)
		parent := aws.ToString(s.open(t)[0].ShardId)
		s.split(t, s.open(t)[0])
		b.put(t, keys(10), 3)
		h := &hiding{hide: func(s listedShard) bool { return s.ShardID == parent }}
		gone := through(through(b.clients, h.fault), func(r *request) (*response, error) {
			if r.Op == "GetShardIterator" && bytes.Contains(r.Body, []byte(`"`+parent+`"`)) {
				return r.refuse("ResourceNotFoundException", "injected: it was there once")
			}
			return r.send()
		})
		l := run(t, b.config("worker", gone))
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// The children of a shard are not to be found when it ends: a later listing finds them.
func TestHazard13_ChildrenAreFoundByALaterListing(t *testing.T) {
	resharding(t, func(t *testing.T, b *bench, reshard func() string) {
		b.put(t, keys(10), 3)
		parent := reshard()
		b.put(t, keys(10), 3)
		h := &hiding{hide: func(s listedShard) bool { return slices.Contains(s.parents(), parent) }}
		l := run(t, b.config("worker", through(b.clients, h.fault)))
		eventually(t, says("the parent has not ended"), func() bool {
			return some(l.events, &l.lost, func(e consumer.Lost) bool { return e.Shard == parent && e.Reason == consumer.ReasonEnded })
		})
		if h.hid.Load() == 0 {
			t.Error("no child was hidden: nothing was tested")
		}
		h.off.Store(true)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// Endpoints answer filters with everything, as DynamoDB Local does, with nothing, or with a refusal.
func TestHazard34_FiltersOnlySaveCalls(t *testing.T) {
	t.Parallel()
	for name, filtered := range map[string]fault{
		"ignored": (*request).send,
		"nothing": func(r *request) (*response, error) {
			return r.rewritten(func(_ int, body []byte) []byte {
				return without(body, func(listedShard) bool { return true })
			})
		},
		"refused": func(r *request) (*response, error) {
			return r.refuse("ValidationException", "injected: no such filter")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := onTable(t)
			var met atomic.Int64
			c := through(b.clients, func(r *request) (*response, error) {
				if bytes.Contains(r.Body, []byte(`"ShardFilter"`)) {
					met.Add(1)
					return filtered(r)
				}
				return r.send()
			})
			b.put(t, keys(5), 2)
			l := run(t, b.config("worker", c))
			b.awaitAll(t)
			for range 2 {
				if err := d.Rollover(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.put(t, keys(5), 2)
			}
			b.awaitAll(t)
			l.mustStop(t)
			b.log.check(t)
			b.log.checkNoRepeats(t)
			if met.Load() == 0 {
				t.Error("nothing was filtered: nothing was tested")
			}
		})
	}
}
