package lease

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
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
}

// asked is the request of a row; Do is "" if there is none. One that this version does not know is one all the same: the shard rests.
func (r *shardRow) asked() (q request, err error) {
	if len(r.Request) == 0 {
		return q, nil
	}
	if err := json.Unmarshal(r.Request, &q); err != nil {
		return q, fmt.Errorf("lease: shard %s: request %s: %w", r.ID, r.Request, err)
	}
	if q.Do == "" {
		return q, fmt.Errorf("lease: shard %s: request %s: it does not say what to do", r.ID, r.Request)
	}
	return q, nil
}

// wanted tells whether an operator wants something of a shard: its owner gives it up, and nobody takes it.
func (r *shardRow) wanted() bool { return len(r.Request) > 0 }

// asking is the row with a request, and false if it has that one or the shard has ended and is to be paused.
func asking(r shardRow, q request) (shardRow, bool, error) {
	old, err := r.asked()
	switch {
	case err != nil:
		return r, false, err
	case old == q:
		return r, false, nil
	case old.Do != "" && old.Do != askPause:
		return r, false, fmt.Errorf("lease: shard %s: a %s is under way on it: let it end, or call it again to have it go on", r.ID, old.Do)
	case q.Do == askPause && r.State == ended:
		return r, false, nil
	}
	text, err := json.Marshal(q)
	if err != nil {
		return r, false, fmt.Errorf("lease: shard %s: %w", r.ID, err)
	}
	r.Request = text
	return r, true, nil
}

// answered is the row without the request, and false if it has another or none.
func answered(r shardRow, q request) (shardRow, bool) {
	if old, err := r.asked(); err != nil || old.Do == "" || old != q {
		return r, false
	}
	r.Request = nil
	return r, true
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

// reset is the row as a reset that was asked for leaves it: nobody's, in a new epoch and in the generation of the reset, with nothing of it processed. The request stays until the
// shards above are reset too.
func reset(r shardRow) (next shardRow, changed bool, err error) {
	q, err := r.asked()
	switch {
	case err != nil:
		return r, false, err
	case q.Do != askReset:
		return r, false, fmt.Errorf("lease: shard %s: it is not asked to be reset", r.ID)
	case r.Owner != "":
		return r, false, fmt.Errorf("%w: shard %s, owner %s", errOwned, r.ID, r.Owner)
	case r.Generation >= q.Generation:
		return r, false, nil // it was
	}
	r.Epoch++
	r.Generation, r.Start, r.Position, r.State, r.Next = q.Generation, q.Start, checkpoint.Position{}, open, ""
	return r, true, nil
}
