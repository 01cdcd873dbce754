package dedup

import (
	"context"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// Terms are what a sink can keep.
type Terms struct {
	Scopes []Scope       // in which it can tell repeats
	Batch  int           // how many records, with an effect each, a call surely has room for; 0: any number
	TTL    time.Duration // how long marks of PerID stay; 0: for ever. It must exceed the time for which the stream holds records, and the longest pause of the consumer
}

// Keeps tells whether a sink can tell repeats in a scope.
func (t Terms) Keeps(s Scope) bool { return slices.Contains(t.Scopes, s) }

// Sink is where effects live and are fenced. Its methods are safe for concurrent use; the calls for one shard come from its owner. Advance may run beside the others, and these
// beside each other only with [PerKey] and [PerID], and then never for one key. A sink that must make tables first has a method Setup(ctx) error, and one that can be made wrongly a method Validate() error.
//
// Of every call's error exactly one of these is so:
//   - it wraps [ErrFenced], [ErrNotSealed], [ErrGeneration] or, from Seal, [ErrScope], in a [*RefusedError]: the caller is not, or no longer, who may write;
//   - it wraps [ErrOutOfOrder] or [ErrPending], which are about a record;
//   - it wraps [ErrUnsettled]: what was asked for may have been done. The same call again tells;
//   - it wraps [ErrUnavailable]: nothing was done, and it is no record's fault;
//   - of Apply alone, it is a [*RolledBackError]: nothing was done, because of f or of the effects that f wanted.
type Sink interface {
	Terms() Terms

	// Seal stores the fence of who acquired a shard – m's Epoch, Session and Generation – and returns low, the position up to which the sink holds everything: the work resumes there.
	// It is accepted if m.Epoch is higher than the stored one, or equal with the same session. A shard that was never sealed, or is sealed in an older generation, gets m.Position, that of the
	// lease, as its low, and loses the marks above it; otherwise low stays as it is. It waits for writes of the previous owner that are under way.
	Seal(ctx context.Context, m Mark) (low checkpoint.Position, err error)

	// Advance moves low up to m.Position, below and at which every record was applied, filtered or given up, and drops marks that are below. It is called before the lease's position moves
	// there, and with [checkpoint.End] before the shard is marked as ended. A position that is not above low changes nothing.
	Advance(ctx context.Context, m Mark) error

	// Bury passes records of one shard without an effect and notes each among the dead, in one write: they were given up, and their letters are stored. One that was applied already stays
	// applied, and is not noted: its letter is void.
	Bury(ctx context.Context, ms []Mark) error
}

// Effects commits effects that are made on an E, such as a *sql.Tx, and the marks of their records in one write.
type Effects[E any] interface {
	Sink

	// Apply calls f with the indices in ms of the records that were not applied yet, rising, and commits what f did on e together with their marks; where none is fresh f is not called, and the error is nil. ms are of one
	// shard, in its order. f may be called again when the database was in the way (a conflict, a deadlock): it must do nothing that is not undone with e. Its error undoes everything and comes back in a
	// [*RolledBackError].
	//
	// Of marks with Redrive a record is fresh if it rests among the dead, from where it is removed in the same write; if it does not, it is void – it was applied after all, or the reset of its
	// shard has applied it again –, or, while its position was not passed, [ErrPending]. They go in calls of their own, one a call.
	//
	// An answer that was lost is settled before Apply returns, as far as ctx lets it: by reading with a lock or by repeating the conditional write.
	Apply(ctx context.Context, ms []Mark, f func(e E, fresh []int) error) error
}
