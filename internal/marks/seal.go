// Package marks decides what a sink does with marks: who may write, what is a repeat, and what the stored rows become. It is pure but for [Book], which is a process's memory of what it has sealed and
// tried. Sinks read rows, ask it, and write what it says in the same transaction or on the condition that the rows are still those.
package marks

import (
	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/planted"
)

// Seal is what a sink stores of a shard. The zero Seal is that there is none.
type Seal struct {
	Epoch, Generation uint64
	Session           string
	Low               checkpoint.Position // everything up to here is applied, filtered or among the dead
}

// None tells whether the shard was never sealed.
func (s Seal) None() bool { return s.Epoch == 0 }

func (s Seal) refuse(why error, m dedup.Mark) error {
	return &dedup.RefusedError{Err: why, Shard: m.Shard, Epoch: s.Epoch, Generation: s.Generation, Session: s.Session}
}

// Sealed is the seal as m's owner leaves it. anew says that the marks of keys above low are of an older generation, or of nobody, and go; otherwise lanes says whether there are any.
func (s Seal) Sealed(m dedup.Mark, lanes bool) (next Seal, anew bool, err error) {
	switch {
	case s.None():
		anew = true
	case s.outranks(m), m.Epoch == s.Epoch && s.another(m):
		return s, false, s.refuse(dedup.ErrFenced, m)
	case m.Generation < s.Generation && !planted.Is(planted.OlderAccepted):
		return s, false, s.refuse(dedup.ErrGeneration, m)
	default:
		anew = m.Generation > s.Generation
	}
	next = Seal{m.Epoch, m.Generation, m.Session, s.Low}
	if anew {
		next.Low = m.Position
	} else if lanes && m.Scope == dedup.PerShard {
		return s, false, s.refuse(dedup.ErrScope, m)
	}
	return next, anew, nil
}

// Admits tells whether m's owner may write, nil if it may.
func (s Seal) Admits(m dedup.Mark) error {
	switch {
	case s.None() || m.Epoch > s.Epoch && !planted.Is(planted.SealEpoch): // a fail-over may have forgotten the seal of this epoch
		return s.refuse(dedup.ErrNotSealed, m)
	case s.outranks(m) || s.another(m):
		return s.refuse(dedup.ErrFenced, m)
	case m.Generation != s.Generation && !planted.Is(planted.OlderAccepted):
		return s.refuse(dedup.ErrGeneration, m)
	}
	return nil
}

func (s Seal) outranks(m dedup.Mark) bool {
	return m.Epoch < s.Epoch && !planted.Is(planted.SealEpoch)
}

func (s Seal) another(m dedup.Mark) bool {
	return m.Session != s.Session && !planted.Is(planted.SealSession)
}

// Advanced is the seal with its low at m's position, and false if it is not below that.
func (s Seal) Advanced(m dedup.Mark) (next Seal, moved bool, err error) {
	if err := s.Admits(m); err != nil {
		return s, false, err
	}
	if !s.Low.Before(m.Position) {
		return s, false, nil
	}
	s.Low = m.Position
	return s, true, nil
}

// Done is what a sink stores of a lane: up to where it is applied, and in which epoch that was written. The zero Done is that there is none.
type Done struct {
	Position checkpoint.Position
	Epoch    uint64
}

// Batch is what a call writes.
type Batch struct {
	Fresh []int               // the indices of the marks that were not applied yet, rising
	Low   checkpoint.Position // with PerShard: what low becomes
	Done  map[string]Done     // with PerKey: what lanes become
}

// covers tells whether everything up to p includes a record.
func covers(p, record checkpoint.Position) bool {
	if planted.Is(planted.MarkEqual) {
		return record.Before(p)
	}
	return !p.Before(record)
}

// Decide tells what becomes of marks of PerShard or PerKey, all of one shard and in its order, where the sink holds seal and, of their lanes, done. o is what this process remembers of the shard.
func Decide(s Seal, done map[string]Done, o *Owner, ms []dedup.Mark) (Batch, error) {
	b := Batch{Low: s.Low}
	for i, m := range ms {
		if err := s.Admits(m); err != nil {
			return Batch{}, err
		}
		if m.Scope == dedup.PerShard { // with keys, an Advance may have moved low since s was read
			if err := o.Remembers(s, m); err != nil {
				return Batch{}, err
			}
		}
		passed := covers(b.Low, m.Position)
		applied := passed
		lane := ""
		if m.Scope == dedup.PerKey {
			lane = m.Lane()
			d, now := b.Done[lane]
			if !now {
				d = done[lane]
			}
			applied = passed || covers(d.Position, m.Position)
			if applied && !passed && d.Epoch != s.Epoch {
				if !planted.Is(planted.EarlierUnseen) {
					o.seen(m) // an earlier owner did it, in order: it is a repeat also when it comes again behind records of this one
				}
				continue
			}
		}
		switch {
		case !applied:
			b.Fresh = append(b.Fresh, i)
		case o.repeats(m):
			continue
		default:
			return Batch{}, &OrderError{Shard: m.Shard, Position: m.Position}
		}
		if m.Scope == dedup.PerShard {
			b.Low = m.Position
			continue
		}
		if b.Done == nil {
			b.Done = make(map[string]Done)
		}
		b.Done[lane] = Done{m.Position, s.Epoch}
	}
	return b, nil
}

// Redrive tells whether a record that was given up is to be applied: where the sink holds seal, of the mark's lane done, and dead says whether the record rests among the dead.
func Redrive(s Seal, done Done, dead bool, m dedup.Mark) (fresh bool, err error) {
	switch {
	case dead:
		return true, nil
	case !s.None() && m.Generation < s.Generation: // it was never buried, nor will be: its shard's owner is of a later one
		return false, nil
	case s.None(), m.Generation > s.Generation, s.Low.Before(m.Position) && done.Position.Before(m.Position):
		return false, &PendingError{Shard: m.Shard, Position: m.Position}
	}
	return false, nil
}
