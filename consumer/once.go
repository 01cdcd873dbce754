package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/dedup"
)

// Once is a handler whose effects stand once: f makes them on e – a *sql.Tx of sqldedup, the write of ddbdedup or redisdedup –, and s commits them in one write with the marks of the records. It gets fresh records
// only, those that were not applied yet; what comes again and was is done without it. What f does elsewhere than on e may be repeated.
//
// f may be called again for the same records when the database was in the way, and for other combinations of them after a failure. Its error undoes the whole call. A [*PartialError] names
// the record that failed, fresh[Done], which is tried again by itself; it acknowledges nothing, for what was done before it is undone too.
//
// It is the [Config].Sink of its consumer; where a handler of one's own calls this one, Config.Sink is to be set to s.
func Once[E any](s dedup.Effects[E], f func(ctx context.Context, e E, fresh []Record) error) Handler {
	return once[E]{s, f}
}

// sinking is a handler with a sink.
type sinking interface {
	sink() dedup.Sink
	empty() bool
}

type once[E any] struct {
	effects dedup.Effects[E]
	f       func(ctx context.Context, e E, fresh []Record) error
}

func (o once[E]) sink() dedup.Sink {
	if o.effects == nil {
		return nil
	}
	return o.effects
}

func (o once[E]) empty() bool { return o.effects == nil || o.f == nil }

// errNoSink is no record's fault, and waits for whoever wrote the program.
var errNoSink = fmt.Errorf("consumer: a handler made by Once was called in a consumer whose Config.Sink is nil: set Config.Sink to the sink that Once was given: %w", dedup.ErrUnavailable)

func (o once[E]) Handle(ctx context.Context, rs []Record) error {
	if in := rs[0].in; in != nil && !in.window().sunk {
		return errNoSink
	}
	ms := make([]dedup.Mark, len(rs))
	for i, r := range rs {
		ms[i] = r.Mark()
	}
	var given []int // to f, the last time it was called
	err := o.effects.Apply(ctx, ms, func(e E, fresh []int) error {
		given = fresh
		if len(fresh) == len(rs) {
			return o.f(ctx, e, rs)
		}
		some := make([]Record, len(fresh))
		for n, i := range fresh {
			some[n] = rs[i]
		}
		return o.f(ctx, e, some)
	})
	// What f said of its records is about those that it was given.
	if rolled, ok := errors.AsType[*dedup.RolledBackError](err); ok {
		if p, ok := errors.AsType[*PartialError](rolled.Err); ok && p != nil && p.Done >= 0 && p.Done < len(given) {
			why := rolled.Err
			if why == error(p) { //nolint:errorlint // what is said around it counts too
				why = p.Err
			}
			return &dedup.RolledBackError{Err: &PartialError{Done: given[p.Done], Err: why}}
		}
	}
	return err
}
