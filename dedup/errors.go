package dedup

import (
	"errors"
	"fmt"
)

// What a [Sink] answers, by wrapping.
var (
	// ErrFenced: another session sealed the shard, in a higher epoch or in the same one. Nothing was written, and nothing of this owner will be.
	ErrFenced = errors.New("dedup: the shard is sealed by another owner")
	// ErrNotSealed: the sink knows nothing of this owner: Seal was not called, or the sink has forgotten it, or writes of it that were acknowledged (a fail-over, a restored backup). Seal again, and resume where that says.
	ErrNotSealed = errors.New("dedup: the shard is not sealed by this owner")
	// ErrGeneration: the shard is sealed in another generation than the caller's.
	ErrGeneration = errors.New("dedup: the shard is sealed in another generation")
	// ErrScope: a shard that was handled with PerKey is sealed with PerShard while marks of keys stand above low, which it could not see. Seal with PerKey until they are gone: a stop at which nothing is failing
	// leaves none.
	ErrScope = errors.New("dedup: marks of keys stand above the position: the shard must be sealed with PerKey")
	// ErrOutOfOrder: a record came behind a later one that this owner has applied, and was not applied itself. Taken for a repeat it would be lost.
	ErrOutOfOrder = errors.New("dedup: a record came behind a later one that was applied")
	// ErrPending: a record that is to be redriven was not passed by its shard's owner yet: it may still be applied there.
	ErrPending = errors.New("dedup: the record is still with the owner of its shard")
	// ErrUnsettled: whether the write was done could not be found out in time. Repeating the call tells.
	ErrUnsettled = errors.New("dedup: it is not known whether the effects were applied")
	// ErrUnavailable: the sink could not do what was asked, and did nothing of it: it is down, throttled, or refuses its caller.
	ErrUnavailable = errors.New("dedup: the sink is not available")
)

// RefusedError says who has sealed a shard instead of the caller.
type RefusedError struct {
	Err   error // ErrFenced, ErrNotSealed, ErrGeneration or ErrScope
	Shard string

	// What is stored. Zero where nothing is.
	Epoch, Generation uint64
	Session           string
}

func (e *RefusedError) Error() string {
	if e.Epoch == 0 {
		return fmt.Sprintf("%v: shard %s has no seal", e.Err, e.Shard)
	}
	return fmt.Sprintf("%v: shard %s has epoch %d, generation %d, session %s", e.Err, e.Shard, e.Epoch, e.Generation, e.Session)
}

// Unwrap is which of the refusals it is.
func (e *RefusedError) Unwrap() error { return e.Err }

// RolledBackError says that an Apply did nothing because of f, or of what f wanted done. Nothing of its records counts as done, whatever Err says.
type RolledBackError struct{ Err error }

func (e *RolledBackError) Error() string { return fmt.Sprintf("dedup: rolled back: %v", e.Err) }

// Unwrap is what f returned, or what the database said of the effects.
func (e *RolledBackError) Unwrap() error { return e.Err }
