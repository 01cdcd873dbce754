package deadletter

import (
	"context"
	"errors"
	"time"
)

// keep renews a claim that was sent at the time given, until stop, which waits for the end of the last renewal. The context that it returns ends with errLost as its cause when
// the claim is another's, or may be: a claim holds for its time from when it was sent, at least.
func (r *redrive) keep(ctx context.Context, c Claim, sent time.Time) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			until := sent.Add(r.options.Claim)
			next := min(r.options.Claim/3, time.Until(until))
			wait := time.NewTimer(next)
			select {
			case <-held.Done():
				wait.Stop()
				return
			case <-wait.C:
			}
			now := time.Now()
			if err := r.renew(held, c, until); errors.Is(err, ErrClaimed) || !time.Now().Before(until) {
				cancel(errLost) // an answer after the claim ran out may be to a claim that was made anew, with another's in between
				return
			} else if err == nil {
				sent = now
			}
		}
	}()
	return held, func() {
		cancel(context.Canceled)
		<-done
	}
}

// renew prolongs a claim, in a third of its time and before it runs out.
func (r *redrive) renew(ctx context.Context, c Claim, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.options.Claim/3, time.Until(until)))
	defer cancel()
	return r.store.Claim(ctx, c, r.options.Claim)
}
