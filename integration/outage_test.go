//go:build engines

package integration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// Every endpoint refuses connections for 20 s, with the default timings: the session is lost and joins anew, and nothing is missing.
func TestEndpointsAwayFor20Seconds(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, b *bench) {
		g := &gate{}
		b.watchRows(t)
		stop := b.putting(t, keys(10), 200*time.Millisecond)
		cfg := b.config("worker", through(b.clients, g.fault))
		cfg.Timing = lease.Timing{}
		l := run(t, cfg)
		b.awaitSome(t, 50)
		g.shut.Store(true)
		pause(t, 20*time.Second)
		if l.returned() {
			t.Fatalf("Run returned %v", l.err)
		}
		g.shut.Store(false)
		b.awaitSome(t, b.log.distinct()+100)
		stop()
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		if g.refused.Load() == 0 {
			t.Error("nothing was refused: nothing was tested")
		}
	})
}

// The store is gone when the worker is told to stop: Run returns all the same, and the next worker goes on from what was stored.
func TestHazard19_StopWithADeadStore(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, b *bench) {
		g := &gate{}
		stop := b.putting(t, keys(10), 100*time.Millisecond)
		cfg := b.config("worker", b.clients)
		cfg.Leases, cfg.Timing = ddblease.New(through(b.clients, g.fault).DynamoDB(), b.leases, nil), hasty
		cfg.Stop = consumer.Stop{Drain: 2 * time.Second, Grace: time.Second}
		l := run(t, cfg)
		b.awaitSome(t, 50)
		g.shut.Store(true)
		begun := time.Now()
		if err := l.stop(); err == nil {
			t.Error("Run returned nil, though no shard could be released")
		}
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("Run returned after %v", took)
		}
		g.shut.Store(false)
		next := b.config("next", b.clients)
		next.Timing = hasty
		heir := run(t, next)
		b.awaitSome(t, b.log.distinct()+50)
		stop()
		b.awaitAll(t)
		heir.mustStop(t)
		b.log.check(t)
	})
}

// A handler ignores the end of its context: Run returns and names its shard, and the other shards are released.
func TestHazard19_StopWithAHandlerThatDoesNotReturn(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, b *bench) {
		release, returned, deaf := make(chan struct{}), make(chan struct{}), make(chan string, 1)
		cfg := b.config("worker", b.clients)
		cfg.Stop = consumer.Stop{Drain: time.Second, Grace: 500 * time.Millisecond}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			select {
			case deaf <- r.Shard:
				defer close(returned)
				<-release
				return nil
			default:
				return b.handle("worker", r)
			}
		})
		b.put(t, keys(10), 2)
		l := run(t, cfg)
		l.awaitAssigned(t, shardCount(b, 2))
		eventually(t, says("no handler was called"), func() bool { return len(deaf) == 1 })
		if b.service() == kinesisService {
			b.awaitSome(t, 2)
		}
		err := l.stop()
		stuck := <-deaf
		if !errors.Is(err, lease.ErrRunning) || !strings.Contains(err.Error(), stuck) {
			t.Errorf("Run returned %v, want an error that names shard %s", err, stuck)
		}
		for _, r := range b.rows(t) {
			if held := r.Owner != ""; held != (r.Shard == stuck) {
				t.Errorf("after the stop of the worker, whose handler runs on %s: %s", stuck, r.text)
			}
		}
		close(release)
		<-returned
		b.log.check(t)
	})
}

// The lease of one shard cannot be read: that shard is left alone and named, the others go on, and nothing of it moves.
func TestHazard20_CorruptRowStopsNoOtherShard(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 3)
	b.put(t, keys(20), 2)
	l := run(t, b.config("first", b.clients))
	b.awaitAll(t)
	l.mustStop(t)
	rows := b.rows(t)
	whole := rows[1]
	b.store(t, whole, `{"owner": 7`)

	shardOf := s.keyed(t)
	b.put(t, keys(20), 2)
	l = run(t, b.config("second", b.clients))
	eventually(t, says("the other shards did not go on"), func() bool {
		for _, it := range b.missing() {
			if shardOf(it.Key) != whole.Shard {
				return false
			}
		}
		return true
	})
	eventually(t, says("no error names shard %s", whole.Shard), func() bool {
		return some(l.events, &l.failed, func(e consumer.Failed) bool {
			return errors.Is(e.Err, lease.ErrRow) && strings.Contains(e.Err.Error(), whole.Shard)
		})
	})
	pause(t, 2*steady.List)
	if l.returned() {
		t.Fatalf("Run returned %v", l.err)
	}
	missing := 0
	for _, key := range keys(20) {
		if shardOf(key) == whole.Shard {
			missing += 2
		}
	}
	if got := len(b.missing()); got != missing || missing == 0 {
		t.Errorf("%d items are missing, want the %d of the corrupt shard", got, missing)
	}
	if now := rawRow(t, b, whole); now != `{"owner": 7` {
		t.Errorf("the corrupt row was changed to %s", now)
	}
	b.store(t, whole, whole.text) // repaired
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}
