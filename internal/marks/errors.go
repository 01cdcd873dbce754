package marks

import (
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// OrderError names the record of an [dedup.ErrOutOfOrder].
type OrderError struct {
	Shard    string
	Position checkpoint.Position
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("%v: shard %s, record %s", dedup.ErrOutOfOrder, e.Shard, e.Position)
}

// Unwrap is the sentinel.
func (e *OrderError) Unwrap() error { return dedup.ErrOutOfOrder }

// PendingError names the record of an [dedup.ErrPending].
type PendingError struct {
	Shard    string
	Position checkpoint.Position
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("%v: shard %s, record %s", dedup.ErrPending, e.Shard, e.Position)
}

// Unwrap is the sentinel.
func (e *PendingError) Unwrap() error { return dedup.ErrPending }
