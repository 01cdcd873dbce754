//go:build engines

package integration

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// A worker is cut off from the store while its handler works, and another one takes the shard. The handler's context ends with the cause,
// and what the first one had under way neither takes the lease back nor lowers its position.
func TestHazard15_LeaseLossEndsTheHandler(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) { staleOwner(t, b) })
}

func TestHazard16_StaleOwnerCannotTakeTheLeaseBack(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		b.watchRows(t)
		staleOwner(t, b)
	})
}

func staleOwner(t *testing.T, b *bench) {
	t.Helper()
	held := newLate(t)
	cut := &gate{}
	c := through(b.clients, func(r *request) (*response, error) {
		if cut.shut.Load() && r.leases() {
			if r.writes() { // it arrives when the other worker has gone on
				return held.send(r, 2*hasty.Expiry)
			}
			return nil, errRefused
		}
		return r.send()
	})
	var mu sync.Mutex
	var causes []error
	working := make(chan struct{})
	once := sync.OnceFunc(func() { close(working) })
	cfg := b.config("stale", b.clients)
	cfg.Leases, cfg.Timing = ddblease.New(c.DynamoDB(), b.leases, nil), hasty
	cfg.Checkpoint = checkpoint.EveryRecord{}
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if b.log.distinct() < 5 {
			return b.handle("stale", r)
		}
		once()
		<-ctx.Done()
		mu.Lock()
		causes = append(causes, context.Cause(ctx))
		mu.Unlock()
		return nil // as if it had been done: its position must not be stored
	})
	stale := run(t, cfg)
	b.put(t, keys(10), 2)
	<-working
	cut.shut.Store(true)
	cfg = b.config("heir", b.clients)
	cfg.Timing = hasty
	heir := run(t, cfg)
	b.awaitAll(t)
	eventually(t, says("the stale worker's handler was not told"), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(causes) == 1 && errors.Is(causes[0], lease.ErrLost)
	})
	held.wait()
	b.put(t, keys(10), 1)
	b.awaitAll(t)
	if again := repeats(b.log.all()); len(again) > 0 && again[b.log.all()[0].Shard] > 1 {
		t.Errorf("delivered again: %v", again)
	}
	rows := b.rows(t)
	if len(rows) != 1 || rows[0].Epoch != 2 {
		t.Errorf("leases %+v, want one in its second epoch", rows)
	}
	cut.shut.Store(false)
	heir.mustStop(t)
	stale.mustStop(t)
	b.log.check(t)
}

// A handler that takes much longer than a session lives, and a shard that waits for its parent, do not stop the heartbeats.
func TestHazard18_SlowHandlersKeepTheirShards(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		cfg := b.config("slow", b.clients)
		cfg.Timing = hasty
		begun := make(chan struct{})
		once := sync.OnceFunc(func() { close(begun) })
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			once()
			if b.log.distinct() == 0 {
				if err := after(ctx, 2*hasty.Expiry); err != nil {
					return err
				}
			}
			return b.handle("slow", r)
		})
		b.put(t, keys(10), 1)
		slow := run(t, cfg)
		<-begun
		cfg = b.config("idle", b.clients)
		cfg.Timing = hasty
		idle := run(t, cfg)
		if s, ok := b.stream.(*kinesisStream); ok {
			s.split(t, s.open(t)[0]) // its children wait for it
			b.put(t, keys(10), 1)
		}
		b.awaitAll(t)
		slow.mustStop(t)
		idle.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
		if first := b.log.all()[0]; first.Worker != "slow" || first.Epoch != 1 {
			t.Errorf("the first delivery is %+v, want one by the slow worker in epoch 1", first)
		}
		if some(slow.events, &slow.lost, func(e consumer.Lost) bool { return e.Reason == consumer.ReasonLost }) {
			t.Error("the slow worker lost a shard")
		}
	})
}

// A worker dies between the leases of the children and the END of their parent: the next one does the END again, without harm.
func TestHazard07_CrashBetweenChildrenAndEnd(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 1)
	b.put(t, keys(10), 3)
	s.split(t, s.open(t)[0])
	b.put(t, keys(10), 3)
	var cut gate
	// Only the shard's own last page names its children: no listing makes their leases before.
	hidden := &hiding{hide: func(s listedShard) bool { return s.ParentShardID != "" }}
	c := through(b.clients, func(r *request) (*response, error) {
		if r.Op == "ListShards" {
			return hidden.fault(r)
		}
		return r.send()
	})
	c = through(c, func(r *request) (*response, error) {
		if r.writes() && storesEnd(r.Body) {
			cut.shut.Store(true) // the process dies here
		}
		return cut.fault(r)
	})
	cfg := b.config("dies", c)
	cfg.Timing = hasty
	cfg.Checkpoint = checkpoint.EveryRecord{}
	cfg.Stop = consumer.Stop{Drain: time.Millisecond, Grace: time.Millisecond}
	dies := run(t, cfg)
	eventually(t, says("no END was written"), cut.shut.Load)
	if rows := b.rows(t); len(rows) != 3 {
		t.Fatalf("END was sent with leases of %d shards, want the parent and two children", len(rows))
	}
	_ = dies.stop() // it can say nothing more
	for _, r := range b.rows(t) {
		if r.State == "ended" {
			t.Fatalf("the END was stored: %s", r.text)
		}
	}
	cfg = b.config("heir", b.clients)
	cfg.Timing = hasty
	heir := run(t, cfg)
	b.awaitAll(t)
	heir.mustStop(t)
	b.log.check(t)
	// The END would have stored the last position.
	if again := repeats(b.log.all()); len(again) > 1 || again[b.log.all()[0].Shard] > 1 {
		t.Errorf("delivered again: %v, want the parent's last record at most", again)
	}
	if !some(heir.events, &heir.lost, func(e consumer.Lost) bool { return e.Reason == consumer.ReasonEnded }) {
		t.Error("the heir did not end the parent")
	}
}
