// Package failure decides what becomes of records that a handler could not handle. It is pure: what happened in, what follows out.
package failure

import (
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/planted"
)

// Policy is what was configured.
type Policy struct {
	Backoff     backoff.Policy
	MaxAttempts int           // 0: no bound
	MaxAge      time.Duration // 0: no bound
	Bisect      bool          // records that failed together are halved until one fails alone
}

// Failure is a call that failed.
type Failure struct {
	Records   int           // that failed, and of which nobody can tell which is to blame
	Attempt   int           // the lowest of theirs: 1 at the first delivery
	After     time.Duration // for which the handler asked before the next attempt; 0: it did not
	Permanent bool          // it said that no attempt can help
	Unspent   bool          // it is not the records' fault, as a breaker knows: no attempt is spent
}

// Next is what follows for the records of a failure that are not given up.
type Next struct {
	Limit  int           // the most of them in a call
	Wait   time.Duration // before the next attempt
	Spends bool          // an attempt
}

// Next decides about a failure. dice is a random number from 0 up to 1, for the jitter.
func (p Policy) Next(f Failure, dice float64) Next {
	if p.Splits(f) {
		return Next{Limit: (f.Records + 1) / 2, Spends: planted.Is(planted.BisectSpends)}
	}
	wait := f.After
	if wait == 0 {
		ceiling := p.Backoff.Ceiling(f.Attempt)
		wait = min(ceiling, time.Duration(dice*(float64(ceiling)+1))) // in floating point: the longest duration and 1 is no duration
	}
	return Next{Limit: f.Records, Wait: wait, Spends: !f.Unspent}
}

// Splits tells whether the records of a failure are halved first: nothing is spent, and nothing given up.
func (p Policy) Splits(f Failure) bool { return p.Bisect && f.Records > 1 && !f.Unspent }

// Reason is why a record is given up.
type Reason string

// The reasons; none is that it is tried again.
const (
	None      Reason = ""
	Attempts  Reason = "attempts"
	Age       Reason = "age"
	Permanent Reason = "permanent"
)

// Exhausted is why a record of a failure is given up, of which this was the attempt given and whose age is known.
func (p Policy) Exhausted(f Failure, attempt int, age time.Duration) Reason {
	switch {
	case p.Splits(f):
		return None
	case f.Permanent:
		return Permanent
	case f.Unspent:
		return None
	case p.MaxAttempts > 0 && attempt >= p.MaxAttempts:
		return Attempts
	}
	return p.Expired(age)
}

// Expired is [Age] for a record that is too old to be tried.
func (p Policy) Expired(age time.Duration) Reason {
	if p.MaxAge > 0 && age > p.MaxAge {
		return Age
	}
	return None
}
