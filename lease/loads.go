package lease

import (
	"cmp"
	"slices"
	"strings"
)

// loads is an assignment by weight in the making.
//
// Each shard costs its bytes a second, and an eighth of the average for being a shard at all: so idle shards are spread too, nobody has more than some nine
// times the even count, and the bytes are no more than an eighth from where they would be without.
//
// A shard that has a member stays, unless that member must give, and then to the least loaded:
//   - if it has two shards and another has none; or
//   - if its load is above 1.15 times its heaviest shard, below which nothing that moves helps much, and it would still be above the other's with the
//     moved shard there, were every weight wrong by a fifth: 1.2/0.8 is the factor of 3/2.
//
// One that must give goes on until its load is within 1.1 times its heaviest shard, or no move makes the higher of the two loads lower. Between where giving
// ends and where it begins is a factor of 3/2 both ways: weights that vary by a fifth do not make a shard move back.
type loads struct {
	*assignment
	costs []uint64 // of each shard
	sum   []uint64 // of each member's shards
	light []uint64 // its lightest
	heavy []uint64 // its heaviest
	gave  []bool
	held  [][]int // the shards of each, once something moves
}

// maxWeight, far above what a shard carries, keeps sums in range whatever a row says.
const maxWeight = 1 << 36

// byWeight evens out loads.
func (a *assignment) byWeight() {
	w := len(a.members)
	l := &loads{
		assignment: a, costs: costs(a.shards),
		sum: make([]uint64, w), light: make([]uint64, w), heavy: make([]uint64, w), gave: make([]bool, w),
	}
	var pool []int
	for s, m := range a.meant {
		if m == nobody {
			pool = append(pool, s)
		} else {
			l.add(s, m)
		}
	}
	l.place(pool)
	for l.move() {
		// Each makes the higher of two loads lower, so that this ends; and where it ends nobody must give, so that the result is left as it is.
	}
}

// costs are the loads that shards are.
func costs(shards []holding) []uint64 {
	costs := make([]uint64, len(shards))
	var total uint64
	for s := range shards {
		costs[s] = min(shards[s].weight, maxWeight)
		total += costs[s]
	}
	base := max(1, total/uint64(8*len(shards)))
	for s := range costs {
		costs[s] += base
	}
	return costs
}

// put means a shard for a member.
func (l *loads) put(s, m int) {
	l.meant[s] = m
	l.add(s, m)
}

// add counts a shard as a member's.
func (l *loads) add(s, m int) {
	cost := l.costs[s]
	if l.sum[m] == 0 {
		l.light[m] = cost
	}
	l.sum[m] += cost
	l.light[m] = min(l.light[m], cost)
	l.heavy[m] = max(l.heavy[m], cost)
}

// place gives each shard that has nobody to the least loaded, the heaviest shards first; or to the least loaded of its zone, if that lifts it no
// higher than the level.
func (l *loads) place(pool []int) {
	slices.SortFunc(pool, func(x, y int) int {
		return cmp.Or(cmp.Compare(l.costs[y], l.costs[x]), strings.Compare(l.shards[x].shard, l.shards[y].shard))
	})
	zoned := slices.ContainsFunc(pool, func(s int) bool { return l.shards[s].zone != "" })
	var level uint64
	if zoned {
		level = l.level()
	}
	for _, s := range pool {
		to := nobody
		if zoned {
			to = l.least(s, func(m int) bool { return l.home(m, s) && l.sum[m]+l.costs[s] <= level })
		}
		if to == nobody {
			to = l.least(s, nil)
		}
		l.put(s, to)
	}
}

// level is how loaded members are if shards could be divided: the average, apart from shards above it, each with a member of its own.
func (l *loads) level() uint64 {
	rest := uint64(0)
	for _, cost := range l.costs {
		rest += cost
	}
	members := uint64(len(l.members))
	for _, cost := range slices.Backward(slices.Sorted(slices.Values(l.costs))) {
		if members == 1 || cost <= rest/members {
			break
		}
		rest -= cost
		members--
	}
	return rest / members
}

// least is the least loaded of the members that may have a shard; of several, the one that it hashes to most.
func (l *loads) least(s int, may func(m int) bool) int {
	best := nobody
	for m, sum := range l.sum {
		if may != nil && !may(m) {
			continue
		}
		if best == nobody || sum < l.sum[best] || sum == l.sum[best] && l.score(m, s) > l.score(best, s) {
			best = m
		}
	}
	return best
}

// move moves one shard from the most loaded of those that must give to the least loaded member, and tells whether there was one.
func (l *loads) move() bool {
	to, from := 0, nobody
	for m := range l.sum {
		if l.sum[m] < l.sum[to] {
			to = m
		}
	}
	for m := range l.sum {
		if l.gives(m, to) && (from == nobody || l.sum[m] > l.sum[from]) {
			from = m
		}
	}
	if from == nobody {
		return false
	}
	if l.held == nil {
		l.list()
	}
	s := l.surplus(from, to)
	l.take(s, from)
	l.put(s, to)
	l.held[to] = append(l.held[to], s)
	l.gave[from] = true
	return true
}

// gives tells whether a member must give, to the least loaded.
func (l *loads) gives(m, to int) bool {
	load, there := l.sum[m], l.sum[to]+l.light[m]
	switch {
	case there >= load:
		return false
	case l.sum[to] == 0:
		return true
	case l.gave[m]:
		return 10*load > 11*l.heavy[m]
	}
	return 20*load > 23*l.heavy[m] && 2*load > 3*there
}

// surplus is the shard to move: the one that makes the higher of the two loads lowest; of several the lightest, and of these the one that the giver
// would rather not keep.
func (l *loads) surplus(from, to int) int {
	higher := func(s int) uint64 { return max(l.sum[from]-l.costs[s], l.sum[to]+l.costs[s]) }
	return slices.MinFunc(l.held[from], func(x, y int) int {
		if c := cmp.Or(cmp.Compare(higher(x), higher(y)), cmp.Compare(l.costs[x], l.costs[y])); c != 0 {
			return c
		}
		return l.dearer(l.rank(from, y), l.rank(from, x))
	})
}

// take takes a shard from a member.
func (l *loads) take(s, m int) {
	l.held[m] = slices.DeleteFunc(l.held[m], func(x int) bool { return x == s })
	l.sum[m], l.light[m], l.heavy[m] = 0, 0, 0
	for _, s := range l.held[m] {
		l.add(s, m)
	}
}

// list notes the shards of each member.
func (l *loads) list() {
	l.held = make([][]int, len(l.members))
	for s, m := range l.meant {
		l.held[m] = append(l.held[m], s)
	}
}
