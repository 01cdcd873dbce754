package ddbdedup

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/awserr"
)

var (
	// ErrTable is wrapped by the errors of [Sink.Setup] about a table that exists and has another shape than a sink's.
	ErrTable = errors.New("ddbdedup: the table is not one of marks")
	// ErrDenied is wrapped, beside [dedup.ErrUnavailable] or [dedup.ErrUnsettled], by errors about a service that refuses the caller: wrong credentials, region or permissions.
	ErrDenied = errors.New("ddbdedup: access denied")
)

// ConditionError says that an action's own condition did not hold: one that f gave it, never one of the marks.
type ConditionError struct {
	Action int  // counted from 0, in the order in which they were added
	Item   item // as it was stored; nil if there was none
}

func (e *ConditionError) Error() string {
	found := "its item does not exist"
	if e.Item != nil {
		found = fmt.Sprintf("its item exists, with %d attributes", len(e.Item))
	}
	return fmt.Sprintf("ddbdedup: the condition of action %d did not hold: %s", e.Action, found)
}

// ActionError says that DynamoDB does not take an action, for another reason than its condition.
type ActionError struct {
	Action  int    // counted from 0, in the order in which they were added
	Code    string // DynamoDB's, such as ValidationError
	Message string
}

func (e *ActionError) Error() string {
	return fmt.Sprintf("ddbdedup: action %d: %s: %s", e.Action, e.Code, e.Message)
}

// LimitError says that the effects of a call and their marks are more than a transaction takes: 100 actions, and 4 MB.
type LimitError struct {
	Effects, Marks int // actions
	Bytes          int // of items and values
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("ddbdedup: %d effects and %d marks are %d actions, with %d bytes: DynamoDB takes %d actions and %d bytes in one transaction",
		e.Effects, e.Marks, e.Effects+e.Marks, e.Bytes, maxActions, maxBytes)
}

// fault says what failed and, where the service's answer calls for it, what to do. op is the service's operation, and kind dedup.ErrUnavailable or dedup.ErrUnsettled.
func (s *Sink) fault(ctx context.Context, kind error, op, what string, err error) error {
	return fault(ctx, kind, op, fmt.Sprintf("ddbdedup: marks in table %q: %s", s.table, what), err)
}

func fault(ctx context.Context, kind error, op, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	switch {
	case awserr.Code(err) == "AccessDeniedException":
		return fmt.Errorf("%s: %w: %w: allow what the package's documentation lists, here for %s, on every table that is written: %w", what, kind, ErrDenied, op, err)
	case awserr.Of(err) == awserr.Denied:
		return fmt.Errorf("%s: %w: %w: %s: %w", what, kind, ErrDenied, awserr.Hint(err), err)
	case awserr.Of(err) == awserr.NotFound:
		return fmt.Errorf("%s: %w: a table does not exist in this account and region, that of the marks, which Setup makes, or one of the effects: %w", what, kind, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

// unavailable is the error of a call that begins when it is over.
func unavailable(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("ddbdedup: %w: %w", dedup.ErrUnavailable, err)
	}
	return nil
}
