package lease

import (
	"bytes"
	"maps"
	"slices"
)

// aim is what follows from the rows of shards and from who shares them. It is worked out again when something of that has changed, and not whenever it is asked for: every poll asks, and with
// ten thousand shards the answer takes milliseconds.
type aim struct {
	shape   uint64 // of the view, from which it was worked out
	paused  bool
	handing map[string]string

	target map[string]string // the member that each shard is meant for
	mine   []string          // the open shards that this worker has, or that are meant for it, sorted
}

// aims are those of the view as it is.
func (v *view) aims() *aim {
	if a := v.aimed; a != nil && a.shape == v.shape && a.paused == v.app.Paused && maps.Equal(a.handing, v.handing) {
		return a
	}
	a := &aim{shape: v.shape, paused: v.app.Paused, handing: maps.Clone(v.handing), target: v.targets(v.team)}
	for id, k := range v.shards {
		if k.row.State != ended && (k.row.Owner == v.me || a.target[id] == v.me) {
			a.mine = append(a.mine, id)
		}
	}
	slices.Sort(a.mine)
	for id := range v.unwanted {
		if _, is := slices.BinarySearch(a.mine, id); !is {
			delete(v.unwanted, id)
		}
	}
	v.aimed = a
	return a
}

// owners are the sessions that open shards name. It is not to be changed.
func (v *view) owners() map[string]bool {
	if v.owning != nil && v.owningOf == v.shape {
		return v.owning
	}
	v.owning, v.owningOf = make(map[string]bool), v.shape
	for _, k := range v.shards {
		if k.row.State == open && k.row.Owner != "" {
			v.owning[k.row.Owner] = true
		}
	}
	return v.owning
}

// counts tells whether a row means the same as another for who has, and who shall have, which shard: a checkpoint changes nothing of that.
func (r *shardRow) counts(other *shardRow) bool {
	return r.Owner == other.Owner && r.State == other.State && r.Next == other.Next && r.Rate == other.Rate && r.Zone == other.Zone &&
		bytes.Equal(r.Request, other.Request) && slices.Equal(r.Parents, other.Parents)
}
