//go:build engines

package integration

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// expired counts the answers that an iterator has expired.
type expired struct {
	mu sync.Mutex
	n  int
}

func (e *expired) add() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
}

func (e *expired) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

// Time moves on while a batch is handled, and the iterator expires: reading goes on after the last record that was read.
func TestHazard24_ExpiredIteratorIsReopened(t *testing.T) {
	t.Parallel()
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		b, d := onTable(t)
		seen := &expired{}
		watched := through(b.clients, func(r *request) (*response, error) {
			if r.Op != "GetRecords" {
				return r.send()
			}
			return r.rewritten(func(status int, body []byte) []byte {
				if status != 200 && hasCode(body, "ExpiredIteratorException") {
					seen.add()
				}
				return body
			})
		})
		b.put(t, keys(10), 5)
		slow := make(chan struct{})
		cfg := b.config("worker", watched)
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			select {
			case <-slow:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return b.handle("worker", r)
		})
		cfg.Flow.Records = 5 // so that reading waits for the handler
		l := run(t, cfg)
		l.awaitAssigned(t, 1)
		eventually(t, says("nothing is in flight"), func() bool {
			s := l.consumer.Status().Shards
			return len(s) == 1 && s[0].InFlight == 5
		})
		if err := d.Dilate(t.Context(), 16*time.Minute); err != nil {
			t.Fatal(err)
		}
		close(slow)
		b.awaitAll(t)
		b.put(t, keys(10), 5)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
		if seen.count() == 0 {
			t.Error("no iterator expired: nothing was tested")
		}
	})
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, _ := onKinesis(t, 2)
		seen, random := &expired{}, newChance(24)
		expiring := through(b.clients, func(r *request) (*response, error) {
			if r.Op == "GetRecords" && random.of(0.3) {
				seen.add()
				return r.refuse("ExpiredIteratorException", "injected")
			}
			return r.send()
		})
		stop := b.putting(t, keys(10), 100*time.Millisecond)
		l := run(t, b.config("worker", expiring))
		eventually(t, says("no iterator expired"), func() bool { return seen.count() >= 10 })
		stop()
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// Iterators that the service does not take, internal errors in the middle and answers that are cut short: every read is repeated from the
// last position.
func TestHazard36_BrokenAnswersAreRetriedFromTheLastPosition(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, b *bench) {
		random := newChance(36)
		broken := through(b.clients, func(r *request) (*response, error) {
			if r.Op != "GetRecords" && r.Op != "GetShardIterator" {
				return r.send()
			}
			switch {
			case random.of(0.1):
				return r.answer(500, `{"__type":"InternalFailure"}`)
			case random.of(0.1):
				return r.refuse("InvalidArgumentException", "injected: a foreign iterator")
			case random.of(0.1):
				return r.rewritten(func(_ int, body []byte) []byte { return body[:len(body)/2] })
			case random.of(0.1):
				return r.lose()
			case random.of(0.05):
				return r.answer(200, "{}")
			case random.of(0.05):
				return r.answer(200, "")
			}
			return r.send()
		})
		stop := b.putting(t, keys(10), 100*time.Millisecond)
		l := run(t, b.config("worker", broken))
		b.awaitSome(t, 300)
		stop()
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}
