package lease

import (
	"math/rand/v2"
	"testing"
)

// cold is before anybody has joined.
func cold() world {
	x := world{s: sRow{version: 1}}
	x.workers[1].session = 1
	return x
}

// warm is when one worker has the shard and has not been heard of for some time, and the other has seen so.
func warm() world {
	x := cold()
	for i := range x.workers {
		a := &x.workers[i]
		a.joined, a.sent, a.acked, a.since, a.version = true, 2, 2, 1, 2
		x.w[i] = wRow{version: 2, hb: 2}
	}
	x.s = sRow{version: 2, epoch: 1, owner: 1}
	x.takers[1] = 1
	x.workers[0].holds, x.workers[0].epoch, x.workers[0].row = true, 1, x.s
	x.workers[1].other = sighting{session: 0, hb: 2, seen: true}
	x.workers[1].since = 3 // sent at 2
	x.now = 2
	return x
}

// Every interleaving, breadth first, as deep as so many states go.
func TestEveryInterleavingOfTwoWorkers(t *testing.T) {
	const states, maxTime = 60_000, 6
	for name, x := range map[string]world{"cold": cold(), "warm": warm()} {
		t.Run(name, func(t *testing.T) {
			seen := map[world]bool{x: true}
			queue := []world{x}
			for len(queue) > 0 && len(seen) < states {
				x := queue[0]
				queue = queue[1:]
				for _, y := range append(append(x.passing(maxTime), x.acting(0)...), x.acting(1)...) {
					if why := y.check(); why != "" {
						t.Fatalf("%s:\n%+v\nafter\n%+v", why, y, x)
					}
					if !seen[y] {
						seen[y] = true
						queue = append(queue, y)
					}
				}
			}
		})
	}
}

// Long walks, in which now and then one worker stands still.
func TestRandomInterleavingsOfTwoWorkers(t *testing.T) {
	const walks, steps, maxTime = 3000, 150, 100
	var takeovers, adoptions, zombies int
	for seed := range uint64(walks) {
		r := rand.New(rand.NewPCG(seed, 1))
		x := cold()
		if seed%2 == 0 {
			x = warm()
		}
		x.careless = seed%3 == 0
		stalled := len(x.workers)
		for step := range steps {
			if r.IntN(15) == 0 {
				stalled = r.IntN(3)
			}
			y, ok := x.walk(r, stalled, maxTime)
			if !ok {
				continue
			}
			if why := y.check(); why != "" {
				t.Fatalf("seed %d, step %d: %s:\n%+v\nafter\n%+v", seed, step, why, y, x)
			}
			if y.s.epoch > x.s.epoch && x.s.owner != 0 {
				if y.s.owner == x.s.owner {
					adoptions++
				} else {
					takeovers++
				}
			}
			for i, a := range x.workers {
				if a.holds && !y.workers[i].holds && y.s.epoch > a.epoch {
					zombies++
				}
			}
			x = y
		}
	}
	t.Logf("%d takeovers, %d adoptions, %d owners that learned from a write that the shard is not theirs", takeovers, adoptions, zombies)
	if takeovers < 300 || adoptions < 300 || zombies < 30 {
		t.Error("the walks hardly reach what they are to test")
	}
}

// walk takes a random step: time or a late write, or one of a worker that does not stand still. Releases are rare, or epochs run out.
func (x world) walk(r *rand.Rand, stalled int, maxTime int8) (world, bool) {
	ys := x.passing(maxTime)
	if i := r.IntN(3); i < len(x.workers) && i != stalled {
		ys = x.acting(i)
	}
	if len(ys) == 0 {
		return x, false
	}
	y := ys[r.IntN(len(ys))]
	return y, y.ended == x.ended || r.IntN(8) == 0
}
