package lease

import (
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/planted"
)

// ErrPosition is what [Lease.Checkpoint] and [Lease.Release] answer to a position below the stored one, which is never stored.
var ErrPosition = errors.New("lease: position below the stored one")

// progress is what one write stores of the work on a shard: the position, and what is done behind it. The two are replaced together, never merged: numbers behind another position are those of
// other records.
type progress struct {
	at    checkpoint.Position
	ahead checkpoint.Ahead
}

// storedIn tells whether a row has it, or has a later position. At the same position only the very same Ahead is the one that was written: an older one is that of a write before.
func (p progress) storedIn(r shardRow) bool {
	if r.Position.Compare(p.at) == 0 {
		return r.Ahead == p.ahead
	}
	return p.at.Before(r.Position)
}

// beaten is the session's row with a new heartbeat.
func beaten(r sessionRow, hb uint64, draining bool) sessionRow {
	r.HB, r.Draining = hb, draining
	return r
}

// killed is the row of a session whose heartbeat hb stood still for the expiry, and false if it moved or there is nothing to kill. Once it is stored the
// session's next heartbeat fails.
func killed(r sessionRow, hb uint64) (sessionRow, bool) {
	if r.version == 0 || r.State != alive || r.HB != hb {
		return r, false
	}
	r.State = dead
	return r, true
}

// holder is who may checkpoint: an epoch of a session.
type holder struct {
	session           string
	epoch, generation uint64
}

func (h holder) holds(r shardRow) bool {
	if planted.Is(planted.EpochIgnored) {
		return r.version != 0 && r.State == open && r.Owner != ""
	}
	return r.version != 0 && r.State == open && r.Owner == h.session && r.Epoch == h.epoch && r.Generation == h.generation
}

// ownership is what was learned of a row's owner by a read sent after the read of that row.
type ownership uint8

const (
	ownerUnknown ownership = iota // no such read, or one that says nothing
	ownerAlive
	ownerDead // in state D, or missing for the expiry
)

// lineage is what was learned of one parent by a read sent after the read of the child's row.
type lineage uint8

const (
	parentUnknown lineage = iota // no such read; or no row, and the service still knows the shard, or was not asked
	parentOpen
	parentEnded
	parentGone // no row, and the service no longer knows the shard
)

// parent is the evidence about one parent.
type parent struct {
	state      lineage
	epoch      uint64
	generation uint64
}

// evidence is what a take rests on, all of it from consistent reads sent after the read of the row that is taken.
type evidence struct {
	app     appRow            // as stored now
	owner   ownership         // of the session that the row names
	parents map[string]parent // one of each shard that the row names as a parent
	running bool              // the taker's process still runs work on the shard, of whatever session
	history string            // of the store, if it tells
	reset   uint64            // the highest generation of its parents
}

// comesUp tells whether a shard came up while all are being reset, and a parent that has ended has yet to be read again: its row was made in the new generation, as if it had been reset, and nobody asks
// for it.
func (e evidence) comesUp(r shardRow, p parent) bool {
	return e.app.Reset != nil && r.Epoch == 0 && r.Generation == e.app.Reset.Generation && p.state == parentEnded && p.generation < r.Generation
}

// verdict says why a row is not taken; "" is that it is.
type verdict string

const (
	taken        verdict = ""
	notThere     verdict = "the row is gone"
	hasEnded     verdict = "the shard has ended"
	stillRunning verdict = "work of this process still runs on it"
	otherStream  verdict = "the application reads another incarnation of the stream"
	isWanted     verdict = "an operator has asked for it"
	isPaused     verdict = "the application is paused"
	forgetful    verdict = "the store may have forgotten who owns it"
	ownerLives   verdict = "its owner is not known to be dead"
	parentsFirst verdict = "not all its parents have ended"
)

// take is the row as session takes it. A row that names session itself, which runs no work on it, is taken again in a new epoch: the
// answer to an earlier take was lost.
func take(r shardRow, session, incarnation string, e evidence) (shardRow, verdict) {
	switch {
	case r.version == 0:
		return r, notThere
	case r.State == ended:
		return r, hasEnded
	case e.running && !planted.Is(planted.TakeRunning):
		return r, stillRunning
	case e.app.version == 0 || e.app.Incarnation != incarnation:
		return r, otherStream
	case r.wanted() && !planted.Is(planted.TakeAsked):
		return r, isWanted
	case e.app.Paused:
		return r, isPaused
	case e.history != e.app.History:
		return r, forgetful
	case r.Owner != "" && r.Owner != session && e.owner != ownerDead && !planted.Is(planted.TakeLiving):
		return r, ownerLives
	}
	epoch := max(r.Epoch, e.app.Floor)
	for i, id := range r.Parents {
		p := e.parents[id]
		if i > 0 && planted.Is(planted.OneParent) {
			continue
		}
		if p.state != parentEnded && p.state != parentGone || e.comesUp(r, p) {
			return r, parentsFirst
		}
		if !planted.Is(planted.ParentEpoch) {
			epoch = max(epoch, p.epoch)
		}
	}
	r.Owner, r.Epoch, r.Next = session, epoch+1, ""
	r.Generation = max(r.Generation, e.reset) // its row may be from before its parents were reset, and it comes after them
	return r, taken
}

// checkpointed is the row with progress p. It fails with [ErrLost] or [ErrPosition].
func checkpointed(r shardRow, h holder, p progress) (shardRow, error) {
	if !h.holds(r) {
		return r, ErrLost
	}
	if p.at.Before(r.Position) {
		return r, fmt.Errorf("%w: %s lies before %s", ErrPosition, p.at, r.Position)
	}
	r.Position, r.Ahead = p.at, p.ahead
	if planted.Is(planted.AheadKept) {
		r.Ahead = checkpoint.Ahead{}
	}
	return r, nil
}

// released is the row with progress p and no owner, in one write, handed to the session next, or to nobody by name. It fails as [checkpointed] does.
func released(r shardRow, h holder, p progress, next string) (shardRow, error) {
	r, err := checkpointed(r, h, p)
	if err == nil {
		r.Owner, r.Next = "", next
	}
	return r, err
}

// lifted is the row with no owner, whose next epoch is above epoch and whose generation is no lower than generation. It fails with [ErrLost].
func lifted(r shardRow, h holder, epoch, generation uint64, next string) (shardRow, error) {
	r, err := released(r, h, r.progress(), next)
	if err == nil {
		r.Epoch, r.Generation = max(r.Epoch, epoch), max(r.Generation, generation)
	}
	return r, err
}

// freed is the row of a session that runs no work on it, without the owner, and false if it is not the session's.
func freed(r shardRow, session string, running bool) (shardRow, bool) {
	if r.version == 0 || r.State != open || r.Owner != session || running {
		return r, false
	}
	r.Owner = ""
	return r, true
}

// finished is the row of a shard that was read to its end at p. The rows of all children must exist: rows holds those that a read sent after
// their creation found. It fails as [checkpointed] does.
func finished(r shardRow, h holder, p checkpoint.Position, children []string, rows map[string]shardRow) (shardRow, error) {
	for _, id := range children {
		if planted.Is(planted.EndFirst) {
			break
		}
		if c := rows[id]; c.version == 0 || c.State == open && !slices.Contains(c.Parents, r.ID) {
			return r, fmt.Errorf("lease: shard %s: its child %s has no row that names it: END must wait", r.ID, id)
		}
	}
	r, err := checkpointed(r, h, progress{at: p}) // behind the end there is nothing
	if err == nil {
		r.State, r.Owner, r.Next, r.Children = ended, "", "", union(r.Children, children)
	}
	return r, err
}

// settled tells whether a row, read after a write by h that carried p was sent, shows that the write was applied or that nothing of it is
// missing: h no longer holds it and the progress is there.
func settled(r shardRow, h holder, p progress) bool {
	return r.version != 0 && !h.holds(r) && r.Epoch >= h.epoch && r.Generation == h.generation && p.storedIn(r)
}
