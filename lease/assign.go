package lease

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
)

// holding is a shard that counts, and the member that has it or that it is handed to, "" if none.
type holding struct{ shard, owner string }

// assign says which member each shard is meant for. It is the same for every worker with the same view, moves as few shards as a
// spread of one allows, and leaves its own result as it is.
//
// Each member may keep ⌊S/W⌋ shards, and the S mod W largest holders keep one more: with ⌈S/W⌉ for all, 49 shards on 8 workers
// would stay at seven times seven and none. What is above the quota, or has no member, goes to those below it by rendezvous hashing.
func assign(members []string, shards []holding) map[string]string {
	target := make(map[string]string, len(shards))
	if len(members) == 0 {
		return target
	}
	shards = slices.SortedFunc(slices.Values(shards), func(a, b holding) int { return strings.Compare(a.shard, b.shard) })
	held := make(map[string][]string, len(members))
	for _, m := range members {
		held[m] = nil
	}
	var pool []string
	for _, s := range shards {
		if _, member := held[s.owner]; member {
			held[s.owner] = append(held[s.owner], s.shard)
		} else {
			pool = append(pool, s.shard)
		}
	}
	room := quotas(held, len(shards))
	for m, has := range held {
		if len(has) > room[m] {
			slices.SortFunc(has, func(a, b string) int { return cmp.Or(cmp.Compare(score(m, b), score(m, a)), strings.Compare(a, b)) })
		}
		keep := min(len(has), room[m])
		for _, shard := range has[:keep] {
			target[shard] = m
		}
		room[m] -= keep
		pool = append(pool, has[keep:]...)
	}
	slices.Sort(pool)
	for _, shard := range pool {
		m := favourite(shard, room)
		target[shard] = m
		room[m]--
	}
	return target
}

// quotas is how many shards each member may have: ⌊S/W⌋, and one more for the S mod W largest holders.
func quotas(held map[string][]string, shards int) map[string]int {
	bySize := make([]string, 0, len(held))
	for m := range held {
		bySize = append(bySize, m)
	}
	slices.SortFunc(bySize, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(held[b]), len(held[a])), strings.Compare(a, b))
	})
	quota := make(map[string]int, len(held))
	for i, m := range bySize {
		quota[m] = shards / len(held)
		if i < shards%len(held) {
			quota[m]++
		}
	}
	return quota
}

// favourite is the member with room that a shard hashes to.
func favourite(shard string, room map[string]int) string {
	best, most := "", uint64(0)
	for m, n := range room {
		if n <= 0 {
			continue
		}
		if s := score(m, shard); best == "" || s > most || s == most && m < best {
			best, most = m, s
		}
	}
	return best
}

// score orders members for a shard, and shards for a member. All workers must compute it alike: it never changes.
func score(member, shard string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(member))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(shard))
	x := h.Sum64() // FNV's high bits hardly move between names that differ in their last byte
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
