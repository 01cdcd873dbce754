//go:build engines

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/circuit"
	"github.com/runnelhq/runnel/consumer/ratelimit"
)

// probes is how long the breaker of a worker stays open.
const probes = 8 * time.Second

// guarded has a breaker that opens before any record was tried as often as it may be, and a limiter.
func guarded() consumer.Flow {
	breaker := circuitbreaker.NewBuilder[any]().WithFailureThreshold(attempts).WithDelay(probes).Build()
	return consumer.Flow{Breaker: circuit.New(breaker), Limiter: ratelimit.Records(rate.NewLimiter(400, 20))}
}

// ask is what a handler depends on.
func ask(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return nil
}

// downstream is what handlers depend on: a server that may be gone.
type downstream struct {
	*httptest.Server
	gone  atomic.Bool
	asked atomic.Int64
}

func newDownstream(t *testing.T) *downstream {
	t.Helper()
	d := &downstream{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		d.asked.Add(1)
		if d.gone.Load() {
			panic(http.ErrAbortHandler) // the connection is cut
		}
	}))
	t.Cleanup(d.Close)
	return d
}

// What the handlers depend on is gone for 30 s while records come in: the breakers have the workers read no more and ask for it now and then, no record is given up for it, and all are
// handled in order when it is back.
func TestDownstreamGoneBehindTheBreaker(t *testing.T) {
	t.Parallel()
	b, _ := onKinesis(t, 2)
	c, a, d := newCrew(t, b), newArchive(t, b, "SQLite"), newDownstream(t)
	crew := c.hireAll(t, 2, task{
		Timing: steady, EveryN: 20, Order: consumer.PerKey, Then: consumer.DeadLetter, Attempts: attempts, Letters: a.address, Downstream: d.URL, State: 100 * time.Millisecond,
	})
	stop := b.puttingBehind(t, keys(10), 300*time.Millisecond, func(context.Context) ([]item, error) { return nil, nil })
	b.awaitSome(t, 50)
	reads := func() (n int64) {
		for _, w := range crew {
			if states, _ := c.of(w.name); len(states) > 0 {
				n += states[len(states)-1].Reads
			}
		}
		return n
	}
	d.gone.Store(true)
	pause(t, 3*time.Second) // the breakers open
	handled, asked, read := b.log.distinct(), d.asked.Load(), reads()
	pause(t, 27*time.Second)
	if now := b.log.distinct(); now != handled {
		t.Errorf("%d records were handled without the downstream", now-handled)
	}
	// At each end of a delay a worker makes three calls, and may read once or twice before they fail. Without a pause it would read a hundred times.
	if calls, pages := d.asked.Load()-asked, reads()-read; calls == 0 || calls > 40 || pages > 20 {
		t.Errorf("without the downstream it was asked %d times and %d pages were read; want 1 to 40, and at most 20", calls, pages)
	}
	d.gone.Store(false)
	stop()
	b.awaitAll(t)
	terminateAll(t, crew)
	if left := a.all(t); len(left) > 0 {
		t.Errorf("records were given up: %+v", left)
	}
	checkKeys(t, b.log.all())
	b.log.checkNoRepeats(t)
}
