package consumer

import (
	"iter"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// ahead is what an earlier owner has done behind the position at which this one began, until it has been read again. The zero value is nothing.
type ahead struct {
	first checkpoint.Position // of the record that it was made for
	bits  []uint64            // by ordinal
	end   uint64              // behind the last of them

	// What was last given to be stored: the record at ordinal since, which has the position next, follows the position at.
	at, next checkpoint.Position
	since    uint64
}

func restore(l *lease.Lease) ahead {
	stored := l.Ahead()
	a := ahead{first: stored.First(), at: l.Position(), next: stored.First()}
	for n := range stored.All() {
		for n/64 >= len(a.bits) {
			a.bits = append(a.bits, 0)
		}
		a.bits[n/64] |= 1 << (n % 64)
		a.end = uint64(n) + 1
	}
	return a
}

// has tells whether the record that is read at p as number o is done. If the first one is another than that which it was made for, nothing is known.
func (a *ahead) has(o uint64, p checkpoint.Position) bool {
	if o >= a.end {
		return false
	}
	if o == 0 && p != a.first {
		*a = ahead{}
		return false
	}
	return a.bit(o)
}

func (a *ahead) bit(o uint64) bool { return a.bits[o/64]&(1<<(o%64)) != 0 }

// rest are the ordinals from top on, less low: what was not read again.
func (a *ahead) rest(top, low uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for o := top; o < a.end; o++ {
			if a.bit(o) && !yield(int(o-low)) {
				return
			}
		}
	}
}

// behind is what is done behind at, where the record at ordinal low, of position next, is not: above, and what was not read again.
func (a *ahead) behind(at, next checkpoint.Position, low, top uint64, above iter.Seq[int]) place {
	a.at, a.next, a.since = at, next, low
	return place{at, checkpoint.NewAhead(next, func(yield func(int) bool) {
		for n := range above {
			if !yield(n) {
				return
			}
		}
		a.rest(top, low)(yield)
	})}
}

// all is what is done when all that was read is, up to the position at and below the ordinal top. While something was not read again nobody knows the position of the next record, so
// it is told from where it was known.
func (a *ahead) all(at checkpoint.Position, top uint64) place {
	if top >= a.end {
		return place{at: at}
	}
	return place{a.at, checkpoint.NewAhead(a.next, func(yield func(int) bool) {
		for o := a.since; o < top; o++ {
			if !yield(int(o - a.since)) {
				return
			}
		}
		a.rest(top, a.since)(yield)
	})}
}
