package lease

import (
	"cmp"
	"slices"
	"strings"
)

// loads is an assignment by weight in the making.
//
// A shard costs its bytes a second, and an eighth of the average for being a shard at all: so idle shards are spread too, nobody has many times more shards
// than others, and the bytes come out no more than about an eighth from where they would without.
//
// What has nobody is placed. Everything else stays as long as nobody must give: a member whose load would still be the higher one after its lightest shard
// had gone to the least loaded, were every weight a fifth off (1.2/0.8 is 3/2), unless it is within 1.15 of its heaviest shard alone, where moving others helps
// little; or a member that has two shards while another has none.
//
// Once one must give, all give until no move makes the higher of two loads lower, or the giver is within 1.1 of its heaviest shard (1.15 is 1 + 0.1·3/2). So
// whatever moves leaves a good split behind, and between there and where giving begins weights may vary by a fifth and nothing moves.
type loads struct {
	*assignment
	costs  []uint64 // of each shard
	sum    []uint64 // of each member's shards
	light  []uint64 // its lightest
	heavy  []uint64 // its heaviest
	held   [][]int  // the shards of each, once something moves
	moving bool
	lowest uint64 // the busiest member's load in any split is no lower; 0: not yet worked out
}

// maxWeight, far above what a shard carries, keeps sums in range whatever a row says.
const maxWeight = 1 << 36

// byWeight evens out loads.
func (a *assignment) byWeight() {
	w := len(a.members)
	l := &loads{
		assignment: a, costs: costs(a.shards),
		sum: make([]uint64, w), light: make([]uint64, w), heavy: make([]uint64, w),
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
	zones := make(map[string]bool)
	for _, m := range l.members {
		zones[m.zone] = m.zone != ""
	}
	homeless := func(s int) int { // of equal shards these come last, as they would take the room of others
		if zones[l.shards[s].zone] {
			return 0
		}
		return 1
	}
	slices.SortFunc(pool, func(x, y int) int {
		if c := cmp.Or(cmp.Compare(l.costs[y], l.costs[x]), cmp.Compare(homeless(x), homeless(y))); c != 0 {
			return c
		}
		return strings.Compare(l.shards[x].shard, l.shards[y].shard)
	})
	var level uint64
	for _, s := range pool {
		to := nobody
		if homeless(s) == 0 {
			if level == 0 {
				level = l.level()
			}
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

// move moves one shard from the most loaded of those that must give to the least loaded member, or has two change places, and tells whether it did.
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
		return l.moving && l.swap()
	}
	if !l.moving {
		l.moving = true
		l.list()
	}
	l.hand(l.surplus(from, to), to)
	return true
}

// swap has a shard of the most loaded member and one of another change places if that makes the higher of their loads lower by a tenth: moves alone can be
// stuck far from the best. It tells whether it did.
func (l *loads) swap() bool {
	from := 0
	for m := range l.sum {
		if l.sum[m] > l.sum[from] {
			from = m
		}
	}
	if 10*l.sum[from] <= 11*l.heavy[from] {
		return false
	}
	out, in, lowest := nobody, nobody, l.sum[from]-l.sum[from]/10
	for _, x := range l.held[from] {
		for y, m := range l.meant {
			if m == from {
				continue
			}
			higher := max(l.sum[from]-l.costs[x]+l.costs[y], l.sum[m]-l.costs[y]+l.costs[x])
			if higher < lowest || higher == lowest && out != nobody && l.before(x, y, out, in) {
				out, in, lowest = x, y, higher
			}
		}
	}
	if out == nobody {
		return false
	}
	other := l.meant[in]
	l.hand(out, other)
	l.hand(in, from)
	return true
}

// before orders pairs of shards by name.
func (l *loads) before(x, y, out, in int) bool {
	return cmp.Or(strings.Compare(l.shards[x].shard, l.shards[out].shard), strings.Compare(l.shards[y].shard, l.shards[in].shard)) < 0
}

// hand moves a shard to a member.
func (l *loads) hand(s, to int) {
	l.take(s, l.meant[s])
	l.put(s, to)
	l.held[to] = append(l.held[to], s)
}

// gives tells whether a member must give, to the least loaded.
func (l *loads) gives(m, to int) bool {
	load, there := l.sum[m], l.sum[to]+l.light[m]
	switch {
	case there >= load:
		return false
	case l.sum[to] == 0:
		return true
	case l.moving:
		return 10*load > 11*l.heavy[m]
	}
	return 20*load > 23*l.heavy[m] && (2*load > 3*there || 4*load >= 7*l.bound())
}

// bound is below the load of the busiest member in every split: there is the average, the heaviest shard, and of as many shards and one as there are members two
// are together.
func (l *loads) bound() uint64 {
	if l.lowest == 0 {
		byCost := slices.Sorted(slices.Values(l.costs))
		slices.Reverse(byCost)
		var total uint64
		for _, cost := range byCost {
			total += cost
		}
		w := len(l.members)
		l.lowest = max(total/uint64(w), byCost[0])
		if len(byCost) > w {
			l.lowest = max(l.lowest, byCost[w-1]+byCost[w])
		}
	}
	return l.lowest
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
