package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// A handler must have the last page's records before the shard ends, although there is nothing behind them.
func TestHazard06_TheLastPageIsDelivered(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 5)
		if err := w.source.CloseShard(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		c := w.start(w.config())
		w.expect(numbers(0, 5))
		w.until("the end", func() bool { return len(told[consumer.Lost](w)) == 1 })
		if e := told[consumer.Lost](w)[0]; e.Reason != consumer.ReasonEnded || e.Err != nil {
			t.Errorf("the shard was given up as %+v", e)
		}
		c.clean()
	})
}

// The end of a shard is recorded when everything in flight has completed, and not before.
func TestHazard07_TheEndWaitsForWhatIsInFlight(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 3)
		parent := w.source.OpenShards()[0]
		child, err := w.source.Roll(parent)
		if err != nil {
			t.Fatal(err)
		}
		w.put(3, 5)
		finish := make(chan struct{})
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "2" {
				<-finish
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		<-time.After(time.Hour)
		for _, e := range told[consumer.Assigned](w) {
			if e.Shard == child {
				t.Error("the child was assigned while its parent's last record was in a handler's hands")
			}
		}
		close(finish)
		w.expect(numbers(0, 5))
		c.clean()
	})
}

// A shard whose last page is being handled has not ended: a stop in the middle of it is a release.
func TestHazard07_AStopInTheLastPageIsNoEnd(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 5)
		if _, err := w.source.Roll(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		w.put(5, 8)
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "2" {
				return errors.New("stuck")
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		w.until("it is stuck", func() bool { return len(told[consumer.Retried](w)) > 3 })
		c.clean()
		if lost := told[consumer.Lost](w); len(lost) != 1 || lost[0].Reason != consumer.ReasonReleased {
			t.Errorf("told of %+v", lost)
		}
		c = w.start(w.config())
		w.expect(numbers(0, 8))
		c.clean()
	})
}

// An idle shard keeps its lease, is taken over, and starts where it should.
func TestHazard08_AnIdleShardIsTakenOver(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.start(w.config())
		<-time.After(time.Hour)
		if n := len(told[consumer.Assigned](w)); n != 1 {
			t.Errorf("the idle shard was assigned %d times in an hour, want once", n)
		}
		first.clean()
		second := w.start(w.config())
		w.until("another owner", func() bool { return len(told[consumer.Assigned](w)) == 2 })
		w.put(0, 3)
		w.expect(numbers(0, 3))
		second.clean()
	})
}

func TestHazard09_ClosedShardsAreReadBeforeTheirChildren(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 2}, func(t *testing.T, w *world) {
		n := 0
		put := func() {
			for range 10 {
				for _, key := range []string{"a", "b", "c", "d", "e"} {
					if _, _, err := w.source.Put(key, fmt.Appendf(nil, "%s%03d", key, n)); err != nil {
						t.Fatal(err)
					}
				}
				n++
			}
		}
		put()
		shards := w.source.OpenShards()
		left, right, err := w.source.Split(shards[0])
		if err != nil {
			t.Fatal(err)
		}
		put()
		if _, err := w.source.Merge(right, shards[1]); err != nil {
			t.Fatal(err)
		}
		put()
		if _, err := w.source.Roll(left); err != nil {
			t.Fatal(err)
		}
		put()
		c := w.start(w.config())
		w.until("all of it", func() bool { return len(w.values()) == 200 })
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			var of []string
			for _, v := range w.values() {
				if strings.HasPrefix(v, key) {
					of = append(of, v)
				}
			}
			if len(of) != 40 || !slices.IsSorted(of) {
				t.Errorf("the records of key %s came as %v", key, of)
			}
		}
		c.clean()
	})
}

// Both parents of a merged shard are done before it starts.
func TestHazard11_AMergedShardWaitsForBothParents(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 2}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		for i, s := range shards {
			if _, err := w.source.PutTo(s, "k", fmt.Appendf(nil, "p%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		child, err := w.source.Merge(shards[0], shards[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.source.PutTo(child, "k", []byte("c")); err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Shard == shards[1] {
				<-hold
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		<-time.After(time.Hour)
		if got := w.values(); !slices.Equal(got, []string{"p0"}) {
			t.Errorf("while one parent is unfinished %v was handled, want [p0]", got)
		}
		close(hold)
		w.expect([]string{"p0", "p1", "c"})
		c.clean()
	})
}

// A parent that aged out before anybody read it does not hold its child for ever; one that a listing left out does, until it is read.
func TestHazard12_AParentThatIsGoneAndOneThatIsOnlyMissing(t *testing.T) {
	for name, gone := range map[string]bool{"gone": true, "missing": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				w.put(0, 3)
				parent := w.source.OpenShards()[0]
				if _, err := w.source.Roll(parent); err != nil {
					t.Fatal(err)
				}
				w.put(3, 6)
				var found func()
				if gone {
					if err := w.source.Vanish(parent); err != nil {
						t.Fatal(err)
					}
				} else {
					found = w.source.Inject(memsource.Fault{Op: memsource.OpShards, Hide: func(id string) bool { return id == parent }})
				}
				c := w.start(w.config())
				if gone {
					w.expect(numbers(3, 6))
				} else {
					<-time.After(time.Hour)
					w.expect(nil)
					found()
					w.expect(numbers(0, 6))
				}
				c.clean()
			})
		})
	}
}

// Who reads a shard to its end makes its children known; nobody waits for a listing.
func TestChildrenFollowTheirParentAtOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Timing.List = 1000 * time.Hour
		c := w.start(cfg)
		w.put(0, 3)
		w.expect(numbers(0, 3))
		if _, err := w.source.Roll(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		w.put(3, 6)
		begun := time.Now()
		w.until("the child's records", func() bool { return len(w.values()) == 6 })
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("the child was read %v after its parent's end", d)
		}
		c.clean()
	})
}

func TestHazard13_ChildrenThatWereNotFoundAtTheEndAreFoundByTheListing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.start(w.config())
		w.put(0, 3)
		w.expect(numbers(0, 3))
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hide: memsource.HideAll})
		if _, err := w.source.Roll(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		w.put(3, 6)
		w.expect(numbers(0, 6))
		c.clean()
	})
}

func TestAGapIsToldAndWaitsOrIsSkipped(t *testing.T) {
	for _, policy := range []consumer.OnTrimmed{consumer.StayAtGap, consumer.SkipGap} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Failure.OnTrimmed = policy
				ps := w.put(0, 3)
				shard := w.source.OpenShards()[0]
				c := w.start(cfg)
				w.expect(numbers(0, 3))
				c.clean()
				trimmed := w.put(3, 6)
				if err := w.source.Trim(shard, trimmed[1]); err != nil {
					t.Fatal(err)
				}
				c = w.start(cfg)
				if policy == consumer.SkipGap {
					w.expect([]string{"0", "1", "2", "5"})
				} else {
					<-time.After(time.Hour)
					w.expect(numbers(0, 3))
					if got := c.Status().Shards[0].Stored; got != ps[2] {
						t.Errorf("the position moved to %s", got)
					}
				}
				gaps := told[consumer.Gap](w)
				if len(gaps) != 1 || gaps[0].Shard != shard || gaps[0].After != ps[2] || gaps[0].Skipped != (policy == consumer.SkipGap) || !errors.Is(gaps[0].Err, consumer.ErrTrimmed) {
					t.Errorf("told of %+v", gaps)
				}
				c.clean()
			})
		})
	}
}

func TestAShardThatVanishedIsNoEndOfAShard(t *testing.T) {
	for _, policy := range []consumer.OnTrimmed{consumer.StayAtGap, consumer.SkipGap} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Failure.OnTrimmed = policy
				c := w.start(cfg)
				w.put(0, 3)
				w.expect(numbers(0, 3))
				c.clean()
				w.put(3, 6) // never to be read
				shard := w.source.OpenShards()[0]
				if _, err := w.source.Roll(shard); err != nil {
					t.Fatal(err)
				}
				w.put(6, 9)
				if err := w.source.Vanish(shard); err != nil {
					t.Fatal(err)
				}
				c = w.start(cfg)
				if policy == consumer.SkipGap {
					w.expect([]string{"0", "1", "2", "6", "7", "8"})
				} else {
					<-time.After(time.Hour)
					w.expect(numbers(0, 3))
				}
				gaps := told[consumer.Gap](w)
				if len(gaps) != 1 || !errors.Is(gaps[0].Err, consumer.ErrNoShard) {
					t.Errorf("told of %+v", gaps)
				}
				c.clean()
			})
		})
	}
}

func TestADeletedStreamEndsRun(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.start(w.config())
		w.put(0, 3)
		w.expect(numbers(0, 3))
		w.source.Delete()
		<-c.ended
		if !errors.Is(c.err, consumer.ErrNoStream) {
			t.Errorf("Run returned %v, want ErrNoStream", c.err)
		}
	})
}

func TestAStreamMadeAnewIsReadFromItsBeginning(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.start(w.config())
		w.put(0, 3)
		w.expect(numbers(0, 3))
		w.source.Create()
		w.put(3, 6)
		w.expect(numbers(0, 6))
		w.mu.Lock()
		before, after := w.seen[2].Stream, w.seen[3].Stream
		w.mu.Unlock()
		if before == after {
			t.Errorf("both streams are %s", before)
		}
		c.clean()
	})
}

func TestAStreamThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.source.Delete()
		begun := time.Now()
		c := w.start(w.config())
		<-c.ended
		if !errors.Is(c.err, consumer.ErrNoStream) || time.Since(begun) > time.Second {
			t.Errorf("Run returned %v after %v", c.err, time.Since(begun))
		}
	})
}
