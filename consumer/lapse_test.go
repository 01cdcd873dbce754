package consumer_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// A handler that keeps a record and returns nil has not handled it, also when it returns after the drain, when nobody waits for acknowledgements any longer.
func TestWhatACallKeepsBeyondTheDrainIsNotDone(t *testing.T) {
	for name, late := range map[string]bool{"kept before the drain ends": false, "kept after it": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				began := make(chan struct{}, 1)
				kept := make(chan *consumer.Deferred, 1)
				cfg := w.config()
				cfg.Stop = consumer.Stop{Drain: time.Second, Grace: time.Second}
				cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
					if late {
						began <- struct{}{}
						<-ctx.Done()
						kept <- consumer.Defer(r)
						return nil
					}
					kept <- consumer.Defer(r)
					began <- struct{}{}
					<-ctx.Done()
					return nil
				})
				w.put(0, 1)
				c := w.start(cfg)
				<-began
				c.clean()
				if err := (<-kept).Done(); err == nil {
					t.Error("an acknowledgement after the stop was taken")
				}
				c = w.start(w.config())
				w.expect([]string{"0"})
				c.clean()
			})
		})
	}
}

// Each time the call is to be held for a while, somebody wakes the shard after it: nothing else would.
func TestAShardThatIsHeldGoesOn(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Flow.Breaker = &stubborn{}
		w.put(0, 2)
		c := w.start(cfg)
		w.expect(numbers(0, 2))
		c.clean()
	})
}

// stubborn is a breaker that opens when it is first asked, and closes when it was asked often.
type stubborn struct{ asked atomic.Int64 }

const often = 3000

func (s *stubborn) Permit() time.Duration {
	if s.asked.Add(1) > often {
		return 0
	}
	return time.Millisecond
}

func (s *stubborn) Record(error) {}
func (s *stubborn) Open() bool   { n := s.asked.Load(); return n > 0 && n <= often }

// Bytes is a bound that fills a call, as Size is: what is behind it does not wait once more.
func TestABatchThatIsFullOfBytesDoesNotWait(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var sizes []int
		cfg := w.config()
		cfg.Batch = consumer.Batch{Size: 100, Bytes: 10, Wait: time.Minute}
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			sizes = append(sizes, len(rs))
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(10, 55)
		begun := time.Now()
		c := w.start(cfg)
		w.until("all", func() bool { return len(w.values()) == 45 })
		if d := time.Since(begun); d > 2*time.Minute {
			t.Errorf("45 records of 2 bytes took %v", d)
		}
		c.clean()
		if want := slices.Repeat([]int{5}, 9); !slices.Equal(sizes, want) {
			t.Errorf("calls of %v, want %v", sizes, want)
		}
	})
}
