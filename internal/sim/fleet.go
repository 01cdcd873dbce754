package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/leasemeter"
)

// FleetResult is what leases cost a fleet of workers, and how fast its shards found their owners.
type FleetResult struct {
	Owned   time.Duration // from the start of the first worker until every shard had an owner
	Settled time.Duration // likewise until no worker had two shards more than another
	Rest    leasemeter.Demand
	RestFor time.Duration // how long Rest was counted
	Deaths  []FleetDeath
	Steps   int
}

// FleetDeath is what followed the death of some workers at once.
type FleetDeath struct {
	Workers int
	Orphans int           // shards that they had
	Owned   time.Duration // from the death until all of them had an owner
	Settled time.Duration // likewise until the load was even
	Takes   int           // of orphans until then
	Moved   int           // takes of shards that were no orphans
}

// Fleet runs a fleet of workers in a calm world, on a stream of shards without records: from cold, at rest for some time, and through the deaths of a worker and of a tenth of
// them. Its error says what was wrong, be it that leases did not come to rest.
func Fleet(seed uint64, shards, workers int, rest time.Duration) (FleetResult, error) {
	f := newFleet(seed, shards, workers)
	defer f.kill()
	f.begin(workers)
	r := FleetResult{Owned: f.until("every shard owned", f.owned)}
	f.until("the load even", f.even)
	r.Settled = f.now
	f.pass(lead)
	before, begun := f.meter.Read(), f.now
	f.pass(rest)
	r.Rest, r.RestFor = f.meter.Read().Minus(before), f.now-begun
	for _, n := range deaths(workers) {
		r.Deaths = append(r.Deaths, f.deaths(n))
		f.pass(lead)
	}
	r.Steps = f.steps
	if f.failure != nil {
		return r, errors.New(f.failure.String())
	}
	return r, nil
}

// lead is how long a fleet is left alone when it has settled: whoever joined when there were no rows yet lists all of them once more soon.
const lead = time.Minute

// patience is how long anything may take, far above what it does.
const patience = 5 * time.Minute

// deaths is how many workers die at once, one time after another.
func deaths(workers int) []int {
	if workers < 20 {
		return []int{1}
	}
	return []int{1, workers / 10}
}

// fleet is a world in which nothing goes wrong but what it is told to.
type fleet struct {
	*world
	meter leasemeter.Meter
	board board
}

// newFleet makes a world without weather, in which all clocks are right.
func newFleet(seed uint64, shards, workers int) *fleet {
	w := &world{seed: seed, dice: rand.New(rand.NewPCG(seed, 0)), counts: make(Counts)}
	w.trace = newTrace(w, nil)
	w.timing = timings[0]
	w.plan = plan{timing: w.timing, workers: workers, end: 2 * time.Hour}
	w.store = newStore(w)
	w.stream = newStream(w)
	for range shards {
		w.stream.add(0)
	}
	w.weather = &weather{w: w}
	w.audit = newAudit(w)
	w.operator = newOperator(w)
	return &fleet{world: w, board: board{shards: shards, of: make(map[string]*worker), takes: make(map[string]int), held: make(map[*worker]int)}}
}

// begin starts the workers within a second.
func (f *fleet) begin(workers int) {
	for i := range workers {
		h := &host{ppm: million, booted: f.between(0, time.Hour), wall: time.Duration(epoch.UnixNano())}
		k := &worker{w: f.world, name: fmt.Sprintf("w%d", i+1), number: i + 1, h: h}
		f.workers = append(f.workers, k)
		at := f.between(0, time.Second)
		if i == 0 {
			at = 0
		}
		f.at(at, func() { f.start(k) })
	}
}

func (f *fleet) start(k *worker) {
	k.p = newProcess(f.world, k.h, k.name, uint64(k.number))
	k.starts = append(k.starts, k.p)
	f.board.held[k] = 0
	k.run(&leasemeter.Store{Store: link{k.p}, Meter: &f.meter}, checkpoint.Start{}, holder{f, k}.work)
}

// pass lets time pass.
func (f *fleet) pass(d time.Duration) {
	over := false
	f.after(d, func() { over = true })
	for !over && f.step() {
		// what happens meanwhile
	}
}

// until lets time pass until is says yes, and gives how much.
func (f *fleet) until(what string, is func() bool) time.Duration {
	begun := f.now
	for !is() && f.step() {
		if f.now-begun > patience {
			f.fail("settle", "not within %v: %s; %s", patience, what, f.board.String())
		}
	}
	return f.now - begun
}

func (f *fleet) owned() bool { return len(f.board.of) == f.board.shards }

func (f *fleet) even() bool {
	least, most := f.board.spread()
	return f.owned() && most-least <= 1
}

// deaths has n workers die at once.
func (f *fleet) deaths(n int) FleetDeath {
	d := FleetDeath{Workers: n}
	var dying []*worker
	for _, k := range f.workers {
		if _, lives := f.board.held[k]; lives && len(dying) < n {
			dying = append(dying, k)
		}
	}
	orphans := make(map[string]bool)
	for _, k := range dying {
		for id, owner := range f.board.of {
			if owner == k {
				orphans[id] = true
			}
		}
		k.kill()
		delete(f.board.held, k)
	}
	d.Orphans = len(orphans)
	clear(f.board.takes)
	begun := f.now
	d.Owned = f.until("the orphans owned", f.owned)
	f.until("the load even after deaths", f.even)
	d.Settled = f.now - begun
	for id, n := range f.board.takes {
		if orphans[id] {
			d.Takes += n
		} else {
			d.Moved += n
		}
	}
	return d
}
