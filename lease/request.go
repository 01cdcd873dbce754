package lease

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/planted"
)

// What an operator may ask of a shard. A shard of which something is asked is released by its owner and taken by nobody until the request is gone.
const (
	askPause = "pause"
	askReset = "reset"
)

// request is what an operator writes into a shard's row. The row is the owner's: freed by anybody else, its owner would dispatch until its next
// checkpoint fails.
type request struct {
	Do         string           `json:"do"`
	Generation uint64           `json:"generation,omitempty"` // the one that a reset raises the row to
	Start      checkpoint.Start `json:"start,omitzero"`       // where a reset shard begins
	Paused     bool             `json:"paused,omitempty"`     // after the reset it is to be paused
}

// asked is the request of a row; Do is "" if there is none. One that this version does not know is an error, and a request all the same: the shard rests.
func (r *shardRow) asked() (q request, err error) {
	if len(r.Request) == 0 {
		return q, nil
	}
	if err := json.Unmarshal(r.Request, &q); err != nil {
		return request{}, fmt.Errorf("lease: shard %s rests: its request %s cannot be read: repair the row %s: %w", r.ID, r.Request, r.key, err)
	}
	if q.Do != askPause && q.Do != askReset {
		return request{}, fmt.Errorf("lease: shard %s rests: this version does not know its request %s: have a newer one serve it, or take it out of the row %s", r.ID, r.Request, r.key)
	}
	return q, nil
}

// ask puts a request into the row.
func (r *shardRow) ask(q request) error {
	text, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("lease: shard %s: %w", r.ID, err)
	}
	r.Request = text
	return nil
}

// wanted tells whether an operator wants something of a shard: its owner gives it up, and nobody takes it.
func (r *shardRow) wanted() bool { return len(r.Request) > 0 }

// reopening tells whether a reset of a shard was asked for: it counts as ended no longer, or its children would go on while it is read again.
func (r *shardRow) reopening() bool {
	q, err := r.asked()
	return err == nil && q.Do == askReset
}

// asking is the row with a request, and false if it has that one, or has ended and is to be paused. A shard that is paused stays so across a reset.
func asking(r shardRow, q request) (shardRow, bool, error) {
	old, err := r.asked()
	switch {
	case err != nil:
		return r, false, err
	case q.Do == askPause && r.State == ended && old.Do == "":
		return r, false, nil
	case q.Do == askPause && old.Do == askReset:
		q = old
		q.Paused = true
	case q.Do == askReset && old.Do == askReset && old.Generation > q.Generation:
		return r, false, fmt.Errorf("lease: shard %s: a later reset, to generation %d, is under way: let that end", r.ID, old.Generation)
	case q.Do == askReset:
		q.Paused = old.Do == askPause || old.Paused
	}
	if q == old {
		return r, false, nil
	}
	if err := r.ask(q); err != nil {
		return r, false, err
	}
	return r, true, nil
}

// answered is the row without the request, and false if it has another or none.
func answered(r shardRow, q request) (shardRow, bool, error) {
	old, err := r.asked()
	if err != nil {
		return r, false, err
	}
	switch {
	case q.Do == askPause && old.Do == askReset && old.Paused:
		old.Paused = false
		err = r.ask(old)
	case q.Do == askReset && old.Do == askReset && old.Generation == q.Generation && old.Paused:
		err = r.ask(request{Do: askPause})
	case old.Do == "" || old.Do != q.Do || old.Generation != q.Generation:
		return r, false, nil
	default:
		r.Request = nil
	}
	return r, err == nil, err
}

var errOwned = errors.New("lease: the shard has an owner")

// forced is the row of a dead owner without the owner: nobody takes it while it is asked for, so an operator frees it. An owned row of any other is not freed but asked for.
func forced(r shardRow, owner ownership) (shardRow, error) {
	if r.Owner != "" && owner != ownerDead {
		return r, fmt.Errorf("%w that is not known to be dead: shard %s, owner %s", errOwned, r.ID, r.Owner)
	}
	r.Owner = ""
	return r, nil
}

// reset is the row as the reset q that was asked for leaves it: nobody's, in a new epoch and in the generation of the reset, with nothing of it processed. The request stays until the
// shards above are reset too. It is false if the row has that generation.
func reset(r shardRow, q request) (next shardRow, changed bool, err error) {
	old, err := r.asked()
	switch {
	case err != nil:
		return r, false, err
	case r.Generation >= q.Generation:
		return r, false, nil
	case old.Do != askReset || old.Generation != q.Generation:
		return r, false, fmt.Errorf("lease: shard %s: it is not asked to be reset to generation %d", r.ID, q.Generation)
	case r.Owner != "":
		return r, false, fmt.Errorf("%w: shard %s, owner %s", errOwned, r.ID, r.Owner)
	}
	r.Epoch++ // whoever had it holds it no longer
	if planted.Is(planted.GenerationKept) {
		q.Generation = r.Generation
	}
	r.Generation, r.Start, r.Position, r.State, r.Next = q.Generation, q.Start, checkpoint.Position{}, open, ""
	if !planted.Is(planted.AheadOthers) {
		r.Ahead = checkpoint.Ahead{}
	}
	return r, true, nil
}
