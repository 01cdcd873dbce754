package consumer

import (
	"errors"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/failure"
)

// Failure is what happens to a record that cannot be handled. It is tried again after a wait, for ever unless MaxAttempts, MaxAge or [Permanent] end that; then
// it is given up as Then says. What waits with it is what [Order] keeps behind it.
//
// The attempts are counted by the worker that has the shard: they begin anew when it changes hands, and MaxAge, by the record's own time, does not.
type Failure struct {
	// Backoff is the longest wait after the first failure of a record; it doubles with each, up to MaxBackoff, and the wait is a random part of it. Default
	// 100 ms.
	Backoff time.Duration
	// MaxBackoff is the longest wait between two attempts. Default 30 s. [RetryAfter] may ask for more.
	MaxBackoff time.Duration
	// MaxAttempts is how often a record is handed out before it is given up. Default 0: no bound.
	MaxAttempts int
	// MaxAge is how old a record may be, since it arrived in the stream, to be handed out; what is older is given up, tried or not. Default 0: no bound.
	MaxAge time.Duration
	// Timeout is how long a call may last before its context ends with [ErrTimeout]. A call that goes on for Stop.Grace after that is given up: Hooks.Overdue tells of it, its worker is replaced, what it
	// returns does not count, and its records wait until it has returned. Default 0: no bound.
	Timeout time.Duration
	// AckWithin is how long records may stay unacknowledged that [Defer] keeps. Then they count as failed. Default 5 minutes.
	AckWithin time.Duration
	// Split is what is tried again after a failure of several records. Default [FromFailed].
	Split Split
	// Then is what becomes of a record that is given up. Default [Block].
	Then Then
	// Letters is where [DeadLetter] and [ParkKey] put records: any [deadletter.Sink], and for ParkKey a [deadletter.Store]. Its method Setup(ctx) error, if it has one, is called when Run begins. Default none.
	Letters deadletter.Sink
	// OnTrimmed is what to do when records, or a whole shard, are gone before they were read. Default [StayAtGap]. [Hooks.Gap] is called in any case.
	OnTrimmed OnTrimmed
}

// Split is what is tried again after a call with several records failed.
type Split int

const (
	// FromFailed goes by [PartialError]: what it says is done is done, the record that failed is tried again by itself, and those behind it have not failed. After any other
	// error all records of the call have failed, are tried again together, and spend their attempts together: with MaxAttempts one that is bad has all of them given up. The default.
	FromFailed Split = iota
	// Whole tries all records of the call again together, whatever the error says.
	Whole
	// Bisect is FromFailed, but where a handler does not say which record failed the records are halved, at once and without spending an attempt, until the one that fails
	// is alone: n records with one that fails take about 2·log₂ n calls.
	Bisect
)

// Then is what becomes of a record that is given up.
type Then int

const (
	// Block goes on trying: nothing is lost, and what is kept in order behind the record waits. The default.
	Block Then = iota
	// Skip counts the record as done. [Hooks.GivenUp] is all that stays of it.
	Skip
	// DeadLetter puts the record into Failure.Letters and then counts it as done. While it cannot be stored, nothing moves.
	DeadLetter
	// ParkKey is DeadLetter for the record and for every later one of its key, in order, until all letters of the key have been redriven. Other keys go on. It needs [PerKey].
	ParkKey
)

// String is the constant's name.
func (t Then) String() string {
	switch t {
	case Block:
		return "Block"
	case Skip:
		return "Skip"
	case DeadLetter:
		return "DeadLetter"
	case ParkKey:
		return "ParkKey"
	}
	return "unknown"
}

// OnTrimmed is what to do about records that are gone.
type OnTrimmed int

const (
	// StayAtGap leaves the shard waiting, and says so, until somebody decides: the position stays where it is. The default.
	StayAtGap OnTrimmed = iota
	// SkipGap goes on with the oldest record held, or with the shard's children if the shard is gone.
	SkipGap
)

// ErrTimeout is the cause with which a call's context ends after Failure.Timeout.
var ErrTimeout = errors.New("consumer: the call lasted longer than Failure.Timeout")

// Permanent marks an error as one that trying again cannot mend: the record is given up at once, as [Failure].Then says. Of an error that is no [PartialError] it gives up all records of the
// call, which [Bisect] halves first. A nil err stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// RetryAfter has the next attempt wait for d instead of the back-off. A nil err stays nil, and a d below 1 changes nothing.
func RetryAfter(d time.Duration, err error) error {
	if err == nil || d < 1 {
		return err
	}
	return &retryAfterError{d, err}
}

type retryAfterError struct {
	after time.Duration
	err   error
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

func (f Failure) withDefaults() Failure {
	fill(&f.Backoff, 100*time.Millisecond)
	fill(&f.MaxBackoff, 30*time.Second)
	fill(&f.AckWithin, 5*time.Minute)
	return f
}

func (f Failure) policy() failure.Policy {
	return failure.Policy{
		Backoff: backoff.Policy{Base: f.Backoff, Cap: f.MaxBackoff}, MaxAttempts: f.MaxAttempts, MaxAge: f.MaxAge, Bisect: f.Split == Bisect,
	}
}

// parks gives the store of letters that keeps keys parked, nil where none are.
func (f Failure) parks() deadletter.Store {
	if f.Then != ParkKey {
		return nil
	}
	s, _ := f.Letters.(deadletter.Store)
	return s
}

func (f Failure) faults(refuse refusal, by OrderBy) {
	_, store := f.Letters.(deadletter.Store)
	refuse(f.Backoff < 0, "Failure.Backoff", "is %v: use a positive duration, or 0 for 100ms", f.Backoff)
	refuse(f.MaxBackoff < f.Backoff, "Failure.MaxBackoff", "is %v (0 is 30s): use at least Failure.Backoff, %v", f.MaxBackoff, f.Backoff)
	refuse(f.MaxAttempts < 0, "Failure.MaxAttempts", "is %d: use 1 or more, or 0 for no bound", f.MaxAttempts)
	refuse(f.MaxAge < 0, "Failure.MaxAge", "is %v: use a positive duration, or 0 for no bound", f.MaxAge)
	refuse(f.Timeout < 0, "Failure.Timeout", "is %v: use a positive duration, or 0 for no bound", f.Timeout)
	refuse(f.AckWithin < 0, "Failure.AckWithin", "is %v: use a positive duration, or 0 for 5m", f.AckWithin)
	refuse(f.Split < FromFailed || f.Split > Bisect, "Failure.Split", "is %d: use consumer.FromFailed, Whole or Bisect", f.Split)
	refuse(f.Then < Block || f.Then > ParkKey, "Failure.Then", "is %d: use consumer.Block, Skip, DeadLetter or ParkKey", f.Then)
	refuse(f.OnTrimmed != StayAtGap && f.OnTrimmed != SkipGap, "Failure.OnTrimmed", "is %d: use consumer.StayAtGap or consumer.SkipGap", f.OnTrimmed)
	refuse(f.Then == DeadLetter && f.Letters == nil, "Failure.Letters", "is nil, and Failure.Then is DeadLetter: give the place for letters, such as sqlletters.New(db, nil)")
	refuse(f.Then == ParkKey && !store, "Failure.Letters", "is %T, and Failure.Then is ParkKey: give a deadletter.Store, which can hold a key parked, such as sqlletters.New(db, nil)", f.Letters)
	refuse(f.Then == ParkKey && by != PerKey, "Failure.Then", "is ParkKey, and Order.By is %s: set Order.By to consumer.PerKey, or use consumer.DeadLetter", by)
}
