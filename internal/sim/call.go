package sim

import "context"

// faults is how the counts name what befalls a call.
type faults struct{ unanswered, late string }

// call has do called when a request arrives, and gives its answer, or why there is none: then it may have been done, or may be yet.
func (l link) call(ctx context.Context, f faults, do func() error) error {
	w := l.p.w
	s, t := w.weather, l.travel()
	ctx, cancel := l.p.Limit(ctx, w.timing.Request, context.DeadlineExceeded)
	defer cancel()
	done := false
	var err error
	answer := func() {
		w.after(t.back, func() {
			done = !l.cut()
			l.p.schedule()
		})
	}
	switch {
	case t.lost, t.err == nil && s.strikes(s.lost):
	case t.err != nil, s.strikes(s.throttled):
		err = errThrottled
		w.after(t.there, answer)
	case s.strikes(s.unanswered):
		w.counts.add(f.unanswered)
		w.after(t.there, func() { _ = do() })
	case s.strikes(s.late):
		w.counts.add(f.late)
		w.after(min(w.timing.Request+w.between(0, w.timing.Expiry), w.plan.calm-w.now), func() { _ = do() })
	default:
		w.after(t.there, func() {
			err = do()
			answer()
		})
	}
	if waited := l.p.await(ctx, &done); waited != nil {
		return waited
	}
	return err
}
