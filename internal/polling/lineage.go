package polling

import (
	"slices"

	"github.com/runnelhq/runnel/consumer"
)

// ParentsFirst orders a listing so that parents come before their children where it has both. A shard listed twice, on two
// pages, is kept once, as it was listed last.
func ParentsFirst(listed []consumer.Shard) []consumer.Shard {
	index := make(map[string]int, len(listed))
	for i, s := range listed {
		index[s.ID] = i
	}
	ordered := make([]consumer.Shard, 0, len(index))
	var add func(i int)
	add = func(i int) {
		s := listed[i]
		if at, ok := index[s.ID]; !ok || at != i {
			return
		}
		delete(index, s.ID) // before its parents: a listing that names a shard its own ancestor ends here
		for _, parent := range s.Parents {
			if at, ok := index[parent]; ok {
				add(at)
			}
		}
		ordered = append(ordered, s)
	}
	for i := range listed {
		add(i)
	}
	return ordered
}

// ChildrenOf are the shards of a listing that name the shard as a parent. What the listing was asked for does not matter: filters are ignored by
// some endpoints.
func ChildrenOf(listed []consumer.Shard, id string) []consumer.Shard {
	var children []consumer.Shard
	for _, s := range listed {
		if slices.Contains(s.Parents, id) {
			children = append(children, s)
		}
	}
	return children
}

// Find is the shard of a listing with that ID.
func Find(listed []consumer.Shard, id string) (consumer.Shard, bool) {
	i := slices.IndexFunc(listed, func(s consumer.Shard) bool { return s.ID == id })
	if i < 0 {
		return consumer.Shard{}, false
	}
	return listed[i], true
}
