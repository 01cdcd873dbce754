package checkpoint

import (
	"math"
	"time"
)

// Never is how long a [Strategy] waits that does not write on its own account.
const Never time.Duration = math.MaxInt64

// Progress is what was done in a shard and is not yet covered by a write that has begun.
type Progress struct {
	Records int           // records done, at least 1 when a strategy is asked
	Bytes   int64         // their bytes
	Age     time.Duration // since the first of them was done
}

// Strategy says how long a position may wait before it is written: 0 is now, [Never] not on its own account. Implementations are
// pure: the same progress has the same answer, and time passing alone brings the moment nearer. A checkpoint is also
// written, under every strategy, when [Manual] is asked for one, when the shard is drained, and at the end of the shard.
//
// A Strategy may also have a method Window() int; see [Window].
type Strategy interface {
	Due(p Progress) time.Duration
}

// EveryRecord writes after each record, and the next record waits for the write: a crash repeats what was in the handler's hands and
// nothing else. A batch is written as one.
type EveryRecord struct{}

// Due is 0 as soon as a record is done.
func (EveryRecord) Due(p Progress) time.Duration { return now(p.Records >= 1) }

// Window is 1: see [Window].
func (EveryRecord) Window() int { return 1 }

// EveryN writes after each n records; values below 1 count as 1. The write of one n overlaps the handling of the next, so that a crash repeats
// at most 2n − 1 records and what was in the handler's hands. A batch that is larger than n is written as one.
type EveryN int

// Due is 0 once n records are done.
func (n EveryN) Due(p Progress) time.Duration { return now(p.Records >= max(1, int(n))) }

// Window is 2n: see [Window].
func (n EveryN) Window() int { return 2 * min(max(1, int(n)), math.MaxInt/2) }

// Every writes when a record has been done for this long. What a crash repeats is not bounded by a number of records.
type Every time.Duration

// Due is what is left of the interval.
func (d Every) Due(p Progress) time.Duration { return max(0, time.Duration(d)-p.Age) }

// EveryBytes writes after each so many bytes of records.
type EveryBytes int64

// Due is 0 once the bytes are done.
func (n EveryBytes) Due(p Progress) time.Duration { return now(p.Bytes >= int64(n)) }

// Any writes as soon as one of its strategies would, and bounds what a crash repeats as the strictest of them does.
type Any []Strategy

// Due is the shortest wait of the strategies.
func (a Any) Due(p Progress) time.Duration {
	least := Never
	for _, s := range a {
		least = min(least, s.Due(p))
	}
	return least
}

// Window is the smallest window of the strategies: see [Window].
func (a Any) Window() int {
	least := 0
	for _, s := range a {
		if w := Window(s); w > 0 && (least == 0 || w < least) {
			least = w
		}
	}
	return least
}

// Manual writes only when a handler asks for it.
type Manual struct{}

// Due is always Never.
func (Manual) Due(Progress) time.Duration { return Never }

// Window is the number of records that may be done and not yet durably written before no more are handed to handlers, and 0
// if s, which then has no method Window() int, sets no bound.
func Window(s Strategy) int {
	if w, ok := s.(interface{ Window() int }); ok {
		return max(0, w.Window())
	}
	return 0
}

func now(due bool) time.Duration {
	if due {
		return 0
	}
	return Never
}
