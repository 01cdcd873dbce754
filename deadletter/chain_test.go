package deadletter_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/runnelhq/runnel/deadletter"
)

func TestAChainHasTheTextsFromTheOutermostToTheRoot(t *testing.T) {
	err := fmt.Errorf("outer: %w", errors.Join(fmt.Errorf("one: %w", errPoison), errDown))
	want := []string{err.Error(), "one: poison\nthe store is down", "one: poison", "poison", "the store is down"}
	if got := deadletter.Chain(err); !slices.Equal(got, want) {
		t.Errorf("the chain is %q; want %q", got, want)
	}
	if got := deadletter.Chain(nil); got != nil {
		t.Errorf("the chain of nil is %q", got)
	}
	if got := deadletter.Chain(&endless{}); len(got) != 64 {
		t.Errorf("an endless chain has %d texts; want 64", len(got))
	}
	if got := deadletter.Chain(&endless{quiet: true}); len(got) != 1 {
		t.Errorf("an endless chain of one text is %q", got)
	}
}

// endless wraps itself, and says how often it was asked unless it is quiet.
type endless struct {
	quiet bool
	asked int
}

func (e *endless) Error() string {
	if !e.quiet {
		e.asked++
	}
	return fmt.Sprint("endless ", e.asked)
}

func (e *endless) Unwrap() error { return e }
