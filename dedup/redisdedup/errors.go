package redisdedup

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/redismaster"
)

var (
	// ErrServer is wrapped by errors of [Sink.Setup] about a server that may drop marks: its maxmemory-policy is not noeviction.
	ErrServer = errors.New("the server may drop marks")
	// ErrRow is wrapped, beside [dedup.ErrUnavailable], by errors about a key of the sink that holds something else than the sink wrote: somebody changed it.
	ErrRow = errors.New("a key of the sink is broken")
	// ErrDenied is wrapped, beside [dedup.ErrUnavailable], by errors about a user of Redis who may not do what the package's documentation lists, or whose credentials are refused.
	ErrDenied = errors.New("access denied")
)

// HalfwayError says that an effect failed after others were made: Redis does not roll back, and these stand. The marks are not written: for the sink the records are as if nothing had been tried,
// and the sink tries nothing again. It is in a [*dedup.RolledBackError]: for an Apply that is repeated makes what stands a second time, see "Half-way" in the package's documentation.
type HalfwayError struct {
	Effect  int    // the one that failed, counted from 0 in the order in which they were added: those before it are made, and of an [Write.Eval] a part may be
	Command string // of a [Write.Do]; EVAL for an [Write.Eval]
	Err     error  // what Redis said
}

func (e *HalfwayError) Error() string {
	return fmt.Sprintf("redisdedup: effect %d, %s, failed half-way: what was done before stands, and nothing is marked as applied: %v", e.Effect, e.Command, e.Err)
}

// Unwrap is what Redis said.
func (e *HalfwayError) Unwrap() error { return e.Err }

// said is an error that the script passed on.
type said string

func (s said) Error() string { return string(s) }

// RedisError makes it a [redis.Error].
func (s said) RedisError() {}

var _ redis.Error = said("")

// refusals are how errors begin that the server gives to a script's first write, and to no later one: nothing was done.
var refusals = []string{"OOM", "READONLY", "NOREPLICAS", "MISCONF"}

func (s said) refusal() bool {
	for _, code := range refusals {
		if redis.HasErrorPrefix(s, code) {
			return true
		}
	}
	return false
}

// fault says what failed, of which kind it is and, where the answer calls for it, what to do.
func (s *Sink) fault(ctx context.Context, what string, kind, err error) error {
	return fmt.Errorf("redisdedup: keys %q: %s: %w: %w", s.cfg.Prefix+"*", what, kind, redismaster.Fault(ctx, err, ErrDenied))
}

func (s *Sink) unavailable(ctx context.Context, what string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		err = fmt.Errorf("%w: it has another type: %w", ErrRow, err)
	}
	return s.fault(ctx, what, dedup.ErrUnavailable, err)
}

// refused is the error for an answer by which nothing was marked.
func (s *Sink) refused(ctx context.Context, r *request, a answer) error {
	w := r.write
	switch a.said {
	case "kind":
		for _, k := range r.kinds {
			if k[0] == a.what {
				return s.unavailable(ctx, "write", fmt.Errorf("%w: %q is a %s; want a %s", ErrRow, k[0], a.why, k[1]))
			}
		}
		return rolledBack(fmt.Errorf("key %q is a %s, which the command on it does not take: nothing was done", a.what, a.why))
	case "check":
		return rolledBack(fmt.Errorf("check %s refuses: %w", a.what, said(a.why)))
	case "compile":
		return rolledBack(fmt.Errorf("%s is no Lua: %w", a.what, said(a.why)))
	case "failed":
		return s.failed(ctx, w, a)
	}
	return s.unavailable(ctx, "write", fmt.Errorf("%w: the script answers %q", ErrRow, a.said))
}

// failed is the error for an effect that failed, or for a mark behind the effects.
func (s *Sink) failed(ctx context.Context, w *Write, a answer) error {
	why := said(a.why)
	var n int
	if _, err := fmt.Sscan(a.what, &n); err != nil {
		return s.fault(ctx, "write", dedup.ErrUnsettled, fmt.Errorf("%w: effect %q failed: %w", ErrRow, a.what, why))
	}
	command := "a mark"
	if n < len(w.effects) {
		command = w.effects[n].name()
	}
	switch {
	case why.refusal():
		return s.unavailable(ctx, "write", why)
	case n == 0 && w.effects[0].body == "":
		if errors.Is(redismaster.Fault(ctx, why, ErrDenied), ErrDenied) {
			return s.unavailable(ctx, "effect 0, "+command, why)
		}
		return rolledBack(fmt.Errorf("effect 0, %s: %w", command, why))
	}
	return rolledBack(&HalfwayError{Effect: n, Command: command, Err: why})
}

func rolledBack(err error) error { return &dedup.RolledBackError{Err: err} }
