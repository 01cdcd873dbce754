package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// A shard is never freed, nor taken again by its own process, under a handler that still runs.
func TestAShardIsNotFreedUnderARunningHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		handler := make(chan struct{})
		w.job("a").leave(handler)
		f.watch(time.Minute)
		if w.job("a") != nil || f.store.lease("a").Owner == "" || f.store.lease("a").Epoch != 1 {
			t.Errorf("with its handler running: %+v", f.store.lease("a"))
		}
		close(handler)
		f.until("work on a again", func() bool { return w.job("a") != nil })
		if got := w.job("a").Epoch(); got != 2 {
			t.Errorf("taken again in epoch %d, want 2", got)
		}
		f.close()
	})
}

func TestRunNamesTheShardsOfWhichAHandlerStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		session := w.job("a").Session()
		handler := make(chan struct{})
		w.job("a").leave(handler)
		w.stop(nil)
		<-w.done
		if !errors.Is(w.err, lease.ErrRunning) || !strings.Contains(w.err.Error(), "shards a ") {
			t.Errorf("Run: %v, want ErrRunning that names shard a", w.err)
		}
		if _, there := f.store.row("W/" + session); !there || f.store.lease("a").Owner != session {
			t.Errorf("freed under a running handler: %+v", f.store.lease("a"))
		}
		if f.store.lease("b").Owner != "" {
			t.Error("shard b was not released")
		}
		close(handler)
		second := f.join()
		f.until("work on a by another", func() bool { return second.job("a") != nil })
		w.err = nil
		f.close()
	})
}

// A process that joined anew takes nothing whose old handler still runs in it.
func TestAProcessThatJoinedAnewWaitsForItsOldHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		ws := f.joinAll(2)
		var w, other *crew
		f.until("work on a", func() bool {
			for i := range ws {
				if ws[i].job("a") != nil {
					w, other = ws[i], ws[1-i]
				}
			}
			return w != nil
		})
		handler := make(chan struct{})
		old := w.job("a")
		go func() {
			_ = old.order(func(context.Context, *lease.Lease) error { <-handler; return nil }, true)
		}()
		w.wire.fail(errFailed)
		f.until("work by the other", func() bool { return other.job("a") != nil })
		w.wire.resume()
		f.watch(10 * time.Second)
		other.stop(nil)
		<-other.done
		f.watch(20 * time.Second)
		if w.job("a") != old {
			t.Error("taken again although the old handler still runs")
		}
		close(handler)
		f.until("work on a by the process that joined anew", func() bool { return w.job("a") != nil && w.job("a") != old })
	})
}

// It timed out, was read as not applied, the owner went on, and it landed: so the owner never goes on.
func TestOnceAReleaseWasSentItsEpochIsOver(t *testing.T) {
	for name, end := range map[string]func(context.Context, *lease.Lease) error{
		"release": func(ctx context.Context, l *lease.Lease) error {
			return l.Release(ctx, checkpoint.Offset(5), checkpoint.Ahead{})
		},
		"end": func(ctx context.Context, l *lease.Lease) error { return l.End(ctx, checkpoint.Offset(5), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a")
				defer f.close()
				w := f.join()
				f.until("work on a", func() bool { return w.job("a") != nil })
				first := w.job("a")
				w.wire.next(func(_ string, row lease.Row) fault {
					if isShard(row, "a") {
						return delayed
					}
					return noFault
				})
				err := first.order(func(ctx context.Context, l *lease.Lease) error {
					limited, cancel := context.WithTimeout(ctx, 3*time.Second)
					defer cancel()
					err := end(limited, l)
					if l.Valid() {
						t.Error("the lease is valid")
					}
					if err := l.Checkpoint(ctx, checkpoint.Offset(6), checkpoint.Ahead{}); !errors.Is(err, lease.ErrLost) {
						t.Errorf("checkpoint: %v, want ErrLost", err)
					}
					if err := l.Release(ctx, checkpoint.Offset(6), checkpoint.Ahead{}); !errors.Is(err, lease.ErrLost) {
						t.Errorf("another release: %v, want ErrLost", err)
					}
					return err
				}, true)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, want the end of its ctx", name, err)
				}
				w.wire.next(nil)
				f.until("work on a again", func() bool { return w.job("a") != nil && w.job("a") != first })
				w.wire.land()
				f.watch(10 * time.Second)
				if got := f.store.lease("a"); got.Epoch != 2 || got.Owner == "" || got.State != "open" || !got.Position.IsZero() {
					t.Errorf("after the late write: %+v, want the second epoch untouched", got)
				}
			})
		})
	}
}

// A release that got lost leaves a row that names a living worker, which gives it up once it no longer runs it.
func TestAReleaseThatFailedIsMadeGoodWhenAShardMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		first := f.join()
		first.grace = time.Second
		f.until("work on both", func() bool { return len(first.shards()) == 2 })
		first.wire.next(func(_ string, row lease.Row) fault {
			if kind(row.Key) == "S" {
				return failed
			}
			return noFault
		})
		second := f.join()
		f.until("a return without a release", func() bool { return first.job("a") == nil || first.job("b") == nil })
		if first.shards() == nil || f.store.lease("a").Owner == "" || f.store.lease("b").Owner == "" {
			t.Fatalf("a %+v, b %+v", f.store.lease("a"), f.store.lease("b"))
		}
		first.wire.next(nil)
		f.watch(5 * time.Second)
		if len(first.shards()) != 1 || len(second.shards()) != 1 {
			t.Errorf("shards of each: %v and %v", first.shards(), second.shards())
		}
	})
}

func TestAReleaseThatFailedIsMadeGoodAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		first := f.join()
		first.grace = time.Second
		f.until("work on both", func() bool { return len(first.shards()) == 2 })
		stopped := time.Now()
		first.wire.next(func(_ string, row lease.Row) fault {
			if kind(row.Key) == "S" && time.Since(stopped) < first.grace {
				return failed
			}
			return noFault
		})
		first.stop(nil)
		<-first.done
		if took := time.Since(stopped); took < first.grace {
			t.Fatalf("stopped after %v", took)
		}
		for _, id := range []string{"a", "b"} {
			if got := f.store.lease(id); got.Owner != "" {
				t.Errorf("shard %s is left to %s", id, got.Owner)
			}
		}
	})
}
