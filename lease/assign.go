package lease

import (
	"cmp"
	"github.com/runnelhq/runnel/internal/planted"
	"slices"
	"strings"
)

// candidate is a live member that may have shards.
type candidate struct {
	name string
	zone string // "" if it did not say
}

// holding is a shard that counts.
type holding struct {
	shard  string
	owner  string // the member that has it or that it is handed to, "" if none
	weight uint64 // bytes a second; 0: idle, or not known
	zone   string // where it was last worked on, "" if not known
}

// assign says which member each shard is meant for. It is the same for every worker with the same view, and leaves its own result as it is.
//
// By count it moves as few shards as a spread of one allows. Each member may keep ⌊S/W⌋ shards, and the S mod W largest holders keep one more: with ⌈S/W⌉ for
// all, 49 shards on 8 workers would stay at seven times seven and none. What is above the quota, or has no member, goes to those below it by rendezvous
// hashing. By weight it evens out bytes a second instead and bears small differences, see loads; while every weight is 0 it goes by count.
//
// Zones are a preference: they cost no move and no balance, and leave no shard unplaced. What must be placed goes where it was last worked on, and who
// must give up shards keeps those of its own zone, if there is the choice.
func assign(members []candidate, shards []holding, byWeight bool) map[string]string {
	target := make(map[string]string, len(shards))
	if len(members) == 0 {
		return target
	}
	a := newAssignment(members, shards)
	if byWeight && slices.ContainsFunc(shards, func(s holding) bool { return s.weight > 0 }) {
		a.byWeight()
	} else {
		a.byCount()
	}
	for s, m := range a.meant {
		target[shards[s].shard] = a.members[m].name
	}
	return target
}

// assignment is an assignment in the making. Members and shards are indices into it.
type assignment struct {
	members []candidate // by name
	hashes  []uint64    // of each member's name, to be continued with a shard's
	shards  []holding
	meant   []int // the member that each shard is meant for
}

// nobody is the member of a shard that is to be placed.
const nobody = -1

func newAssignment(members []candidate, shards []holding) *assignment {
	a := &assignment{
		members: slices.SortedFunc(slices.Values(members), func(x, y candidate) int { return strings.Compare(x.name, y.name) }),
		hashes:  make([]uint64, len(members)), shards: shards, meant: make([]int, len(shards)),
	}
	index := make(map[string]int, len(members))
	for m, c := range a.members {
		index[c.name] = m
		a.hashes[m] = hashMember(c.name)
	}
	for s := range shards {
		m, live := index[shards[s].owner]
		if !live {
			m = nobody
		}
		a.meant[s] = m
	}
	return a
}

// byCount spreads shards within one.
func (a *assignment) byCount() {
	held := make([]int, len(a.members))
	for _, m := range a.meant {
		if m != nobody {
			held[m]++
		}
	}
	room := quotas(held, len(a.shards))
	a.trim(held, room)
	for m, n := range held {
		room[m] = max(0, room[m]-n)
	}
	a.place(room)
}

// quotas is how many shards each member may have: ⌊S/W⌋, and one more for the S mod W largest holders. Those that have no more than ⌊S/W⌋ are alike: ranked by what they
// have, the odd shard would change hands with each take that one worker has seen and another has not, and both would take it.
func quotas(held []int, shards int) []int {
	floor := shards / len(held)
	bySize := make([]int, len(held))
	for m := range bySize {
		bySize[m] = m
	}
	slices.SortFunc(bySize, func(a, b int) int {
		return cmp.Or(cmp.Compare(max(held[b], floor), max(held[a], floor)), cmp.Compare(a, b))
	})
	quota := make([]int, len(held))
	for i, m := range bySize {
		quota[m] = floor
		if i < shards%len(held) || planted.Is(planted.CeilingQuota) && shards%len(held) > 0 {
			quota[m]++
		}
	}
	return quota
}

// trim leaves members above their quota those of their shards that they would rather keep.
func (a *assignment) trim(held, quota []int) {
	has := make([][]ranked, len(held))
	for s, m := range a.meant {
		if m != nobody && held[m] > quota[m] {
			has[m] = append(has[m], a.rank(m, s))
		}
	}
	for m := range has {
		if held[m] <= quota[m] {
			continue
		}
		slices.SortFunc(has[m], a.dearer)
		for _, r := range has[m][quota[m]:] {
			a.meant[r.shard] = nobody
		}
	}
}

// ranked is what decides which of its shards a member would rather keep.
type ranked struct {
	shard int
	away  int // 0 if the shard was last worked on in the member's zone, 1 otherwise
	score uint64
}

func (a *assignment) rank(m, s int) ranked {
	r := ranked{shard: s, away: 1, score: a.score(m, s)}
	if a.home(m, s) {
		r.away = 0
	}
	return r
}

// dearer puts the shard first that a member would rather keep: of its zone, then the one that hashes to it most.
func (a *assignment) dearer(x, y ranked) int {
	if c := cmp.Or(cmp.Compare(x.away, y.away), cmp.Compare(y.score, x.score)); c != 0 {
		return c
	}
	return strings.Compare(a.shards[x.shard].shard, a.shards[y.shard].shard)
}

// place gives the shards that have nobody to members with room: first those whose zone has room, as others would take it.
func (a *assignment) place(room []int) {
	for _, within := range []bool{true, false} {
		for _, s := range a.pool() {
			if m := a.favourite(s, room, within); m != nobody {
				a.meant[s] = m
				room[m]--
			}
		}
	}
}

// pool is the shards that have nobody, by name.
func (a *assignment) pool() []int {
	var pool []int
	for s, m := range a.meant {
		if m == nobody {
			pool = append(pool, s)
		}
	}
	slices.SortFunc(pool, func(x, y int) int { return strings.Compare(a.shards[x].shard, a.shards[y].shard) })
	return pool
}

// favourite is the member with room that a shard hashes to most, among those of its zone or among all.
func (a *assignment) favourite(s int, room []int, within bool) int {
	if within && a.shards[s].zone == "" {
		return nobody
	}
	best, most := nobody, uint64(0)
	for m, n := range room {
		if n <= 0 || within && !a.home(m, s) {
			continue
		}
		if score := a.score(m, s); best == nobody || score > most {
			best, most = m, score
		}
	}
	return best
}

// home tells whether a shard was last worked on in the member's zone.
func (a *assignment) home(m, s int) bool {
	zone := a.shards[s].zone
	return zone != "" && zone == a.members[m].zone
}

// score orders members for a shard, and shards for a member. All workers must compute it alike: it never changes.
func (a *assignment) score(m, s int) uint64 {
	x := hash(a.hashes[m], a.shards[s].shard)
	x ^= x >> 30 // FNV's high bits hardly move between names that differ in their last byte
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// hash continues FNV-1a, of 64 bits. It is written out here as the standard library's cannot go on from a member's.
func hash(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// hashMember is where the hashes of a member's shards go on from. A zero byte keeps the names apart.
func hashMember(name string) uint64 { return hash(hash(14695981039346656037, name), "\x00") }
