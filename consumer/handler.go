package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// Handler processes records. It is called from many goroutines: never twice at once for one shard, or with [PerKey] for one key. The slice is lent until Handle returns; what
// [PartialError] counts is the order in which it came.
//
// A nil error says that all records are done. A [*PartialError] says how far it got; any other error says that nothing is done. What is
// not done is delivered again, with back-off, for ever unless [Config].Failure ends that; what [Config].Order keeps behind it waits.
//
// ctx has the values of the context given to Run, and not its cancellation: it ends, with a cause, when the shard is lost, or
// when the time for the drain is over. A handler that returns when ctx ends loses nothing: what it did not finish is delivered again.
type Handler interface {
	Handle(ctx context.Context, rs []Record) error
}

// HandlerFunc is a function as a [Handler].
type HandlerFunc func(ctx context.Context, rs []Record) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, rs []Record) error { return f(ctx, rs) }

// PartialError says how far a handler got in a batch: rs[:Done] are done, rs[Done] failed. A Done that is negative or not below the
// length of the batch says that nothing is done. In a [*dedup.RolledBackError] it says which record failed, and nothing is done.
type PartialError struct {
	Done int
	Err  error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("consumer: record %d of the call: %v", e.Done+1, e.Err)
}

// Unwrap is why the record failed.
func (e *PartialError) Unwrap() error { return e.Err }

// PanicError is the failure of a record whose handler panicked.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("consumer: the handler panicked: %v", e.Value)
}

// Unwrap is the value of the panic, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Each is a handler of one record at a time.
func Each(f func(ctx context.Context, r Record) error) Handler { return each(f) }

type each func(ctx context.Context, r Record) error

func (f each) Handle(ctx context.Context, rs []Record) error {
	for i := range rs {
		if i > 0 && ctx.Err() != nil {
			return &PartialError{Done: i, Err: &untriedError{context.Cause(ctx)}}
		}
		if err := f.one(ctx, rs[i]); err != nil {
			return &PartialError{Done: i, Err: err}
		}
	}
	return nil
}

func (f each) one(ctx context.Context, r Record) (err error) {
	defer recovered(&err)
	return f(ctx, r)
}

// DecodeError is the failure of a record whose data is not what the handler takes.
type DecodeError struct {
	Shard    string
	Position checkpoint.Position
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("consumer: shard %s, record %s: %v", e.Shard, e.Position, e.Err)
}

// Unwrap is what the decoder said.
func (e *DecodeError) Unwrap() error { return e.Err }

// JSON is a handler of one record at a time whose data is the JSON text of a T. Data that is none is a [*DecodeError], and handled as any
// failure: the record is retried, for ever unless Config.Failure ends that.
func JSON[T any](f func(ctx context.Context, v T, r Record) error) Handler {
	if f == nil {
		return each(nil)
	}
	return Each(func(ctx context.Context, r Record) error {
		var v T
		if err := json.Unmarshal(r.Data, &v); err != nil {
			return &DecodeError{Shard: r.Shard, Position: r.Position, Err: fmt.Errorf("its data is no JSON that fits %T: %w", v, err)}
		}
		return f(ctx, v, r)
	})
}

// handle calls h and turns a panic into a failure of the whole call.
func handle(ctx context.Context, h Handler, rs []Record) (err error) {
	defer recovered(&err)
	return h.Handle(ctx, rs)
}

func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

var errNilPartial = errors.New("consumer: the handler returned a nil *PartialError as an error: return nil itself")

// outcome is what became of the records of a call, by their numbers in it: those below done are done, those from first on below end failed, and the others had no turn.
type outcome struct {
	done, first, end int
	why              error // nil: all are done
}

// outcomeOf is that of n records whose handler returned err.
func outcomeOf(n int, err error) outcome {
	if err == nil {
		return outcome{done: n, first: n, end: n}
	}
	var partial *PartialError
	switch {
	case !errors.As(err, &partial):
		return outcome{end: n, why: err}
	case partial == nil:
		return outcome{end: n, why: errNilPartial}
	case partial.Done < 0 || partial.Done >= n:
		return outcome{end: n, why: fmt.Errorf("consumer: the handler says that %d of %d records are done and one failed, so none counts as done: %w", partial.Done, n, err)}
	}
	o := outcome{done: partial.Done, first: partial.Done, end: partial.Done + 1, why: err}
	if rolled, ok := errors.AsType[*dedup.RolledBackError](err); ok && errors.Is(rolled, partial) {
		o.done = 0 // what was done before it is undone
		return o
	}
	if partial.Err == nil {
		o.why = errors.New("consumer: the handler gave a PartialError without a reason")
	} else if err == error(partial) { //nolint:errorlint // what is said around it counts too
		o.why = partial.Err
		if _, untried := errors.AsType[*untriedError](partial.Err); untried {
			o.end = o.first
		}
	}
	return o
}

// untriedError says of the record behind those that are done that its turn did not come.
type untriedError struct{ why error }

func (e *untriedError) Error() string { return e.why.Error() }
func (e *untriedError) Unwrap() error { return e.why }
