package marks

import "github.com/runnelhq/runnel/dedup"

// Entry is what a sink stores of a record with [dedup.PerID]. The zero Entry is that there is nothing.
type Entry struct {
	There      bool
	Generation uint64
	Dead       bool // it was given up, and not redriven
}

// Fresh tells whether a record is to be applied, or noted among the dead.
func (e Entry) Fresh(m dedup.Mark) bool { return !e.There || e.Generation < m.Generation }

// Redrive tells whether a record that was given up is to be applied.
func (e Entry) Redrive(m dedup.Mark) (fresh bool, err error) {
	if e.Fresh(m) {
		return false, &PendingError{Shard: m.Shard, Position: m.Position}
	}
	return e.Dead && e.Generation == m.Generation, nil
}
