//go:build engines

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
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
