//go:build engines

package integration

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// often is how probable a fault of a write is: of sessions so that they stay alive, of shards so that it meets many.
func often(r *request) float64 {
	if bytes.Contains(r.Body, []byte("/S/")) {
		return 0.4
	}
	return 0.15
}

// Writes of leases that were applied although their answers were lost: what became of them is read, never assumed. No lease is lost by it, also
// not when it is released.
func TestHazard17_LostAnswersOfLeaseWrites(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, b *bench) {
		random, lost := newChance(17), new(atomic.Int64)
		all := b.underFaults(t, lost, func(r *request) (*response, error) {
			if !r.writes() || !random.ofCall(r, often(r)) {
				return r.send()
			}
			lost.Add(1)
			if attempt, _ := r.attempt(); attempt > 1 {
				return nil, errRefused // no later answer tells what became of the first sending
			}
			return r.lose()
		})
		b.stopAll(t, all)
		for _, l := range all {
			for _, e := range told(l.events, &l.lost) {
				if e.Reason != consumer.ReasonReleased || e.Err != nil {
					t.Errorf("shard %s was given up as %s: %v", e.Shard, e.Reason, e.Err)
				}
			}
		}
		b.log.checkNoRepeats(t)
	})
}

// Writes of leases that are applied when their senders have long given up, after newer ones.
func TestHazard04_LateWritesNeverTakeAPositionBack(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, b *bench) {
		random, delayed, held := newChance(4), new(atomic.Int64), newLate(t)
		var over atomic.Bool
		all := b.underFaults(t, delayed, func(r *request) (*response, error) {
			if !r.writes() || over.Load() || !random.ofCall(r, often(r)) {
				return r.send()
			}
			delayed.Add(1)
			if attempt, _ := r.attempt(); attempt > 1 {
				return nil, errRefused
			}
			return held.send(r, time.Duration(delayed.Load()%10)*200*time.Millisecond)
		})
		over.Store(true) // a row that is removed could come back
		held.wait()
		b.stopAll(t, all)
	})
}

// Every call is throttled: the first attempt where the SDK makes several, and every fourth of those that the sources try again themselves.
func TestHazard22_ThrottledCallsAreOvercome(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, b *bench) {
		throttled, singles := new(atomic.Int64), new(atomic.Int64)
		all := b.underFaults(t, throttled, func(r *request) (*response, error) {
			attempt, most := r.attempt()
			if attempt == 1 && (most > 1 || singles.Add(1)%4 == 0) {
				throttled.Add(1)
				return r.throttle()
			}
			return r.send()
		})
		b.stopAll(t, all)
	})
}

// underFaults has two workers consume while records come in and calls fail, until hit says that enough of them did: nothing may be missing,
// and no lease may go back.
func (b *bench) underFaults(t *testing.T, hit *atomic.Int64, f fault) []*local {
	t.Helper()
	b.watchRows(t)
	c := through(b.clients, f)
	stop := b.putting(t, keys(6), 300*time.Millisecond)
	all := []*local{b.runEager(t, "a", c), b.runEager(t, "b", c)}
	b.awaitSome(t, 60)
	eventually(t, func() string { return fmt.Sprintf("only %d faults were injected", hit.Load()) }, func() bool { return hit.Load() >= 20 })
	stop()
	b.awaitAll(t)
	return all
}

// stopAll stops the workers, which must be clean: in order, with every lease released at the last position.
func (b *bench) stopAll(t *testing.T, all []*local) {
	t.Helper()
	for _, l := range all {
		l.mustStop(t)
	}
	b.log.check(t)
	last := make(map[string]string)
	for _, d := range b.log.all() {
		last[d.Shard] = max(last[d.Shard], d.Position)
	}
	for _, r := range b.rows(t) {
		if r.Owner != "" || r.Position.Sort() < last[r.Shard] {
			t.Errorf("shard %s was handled up to %s, and was not released there: %s", r.Shard, last[r.Shard], r.text)
		}
	}
}

// runEager runs a consumer that writes a position after every few records.
func (b *bench) runEager(t *testing.T, worker string, c localstack.Clients) *local {
	t.Helper()
	cfg := b.config(worker, c)
	cfg.Checkpoint = checkpoint.EveryN(3)
	return run(t, cfg)
}

// The store is throttled entirely, for longer than a session lives: handlers stop before others may take their shards, and all recovers
// alone.
func TestHazard22_ThrottledStoreStopsTheWorkInTime(t *testing.T) {
	t.Parallel()
	b, _ := onKinesis(t, 2)
	var shut atomic.Bool
	c := through(b.clients, func(r *request) (*response, error) {
		if r.leases() && shut.Load() {
			return r.throttle()
		}
		return r.send()
	})
	stop := b.putting(t, keys(10), 100*time.Millisecond)
	cfg := b.config("worker", b.clients)
	cfg.Leases = ddblease.New(c.DynamoDB(), b.leases, nil)
	cfg.Timing = hasty
	l := run(t, cfg)
	b.awaitSome(t, 100)
	shut.Store(true)
	pause(t, hasty.Expiry) // by now the session may be taken for dead
	during := len(b.log.all())
	pause(t, hasty.Expiry/2)
	if n := len(b.log.since(during)); n > 0 {
		t.Errorf("%d records were handled after the session had lapsed", n)
	}
	shut.Store(false)
	b.awaitSome(t, b.log.distinct()+100)
	stop()
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
}
