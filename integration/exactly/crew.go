package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/instants"
	"github.com/runnelhq/runnel/internal/torment"
)

type worker = torment.Worker

// crew is the processes of a bank, and what they told.
type crew struct {
	*torment.Crew
	bank     string
	log      *os.File
	args     []string
	env      []string
	place    *place
	unmarked bool

	mu      sync.Mutex
	hired   int
	owners  map[string]owner           // of shards, as they were sealed
	reached map[arrival]instants.Event // the calls that have come to an instant
	told    tally
	faults  []string // workers that ended as they should not
}

// arrival is a worker and an instant that it is to come to.
type arrival struct {
	worker  string
	instant instants.Instant
}

// owner is who sealed a shard last.
type owner struct {
	worker string // "": the shard has ended
	epoch  uint64
}

// tally is what workers told.
type tally struct {
	deliveries int // records that were handed to the sink
	repeats    int // of those that it answered: the ones that it had applied before
	refused    int // calls that were not done
	seals      int
	ahead      int // seals of which the sink was ahead of the lease
}

func newCrew(g *ground, in *input, p *place, args []string, unmarked bool) (_ *crew, err error) {
	c := &crew{
		bank: g.bank, log: g.log, args: args, env: append(os.Environ(), in.services.Env()...), place: p, unmarked: unmarked,
		owners: make(map[string]owner), reached: make(map[arrival]instants.Event),
	}
	c.Crew, err = torment.NewCrew(c.hear)
	return c, err
}

// hear notes what a worker says.
func (c *crew) hear(text []byte) error {
	var e instants.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case instants.Seal:
		c.told.seals++
		if e.Ahead {
			c.told.ahead++
		}
		if e.Epoch >= c.owners[e.Shard].epoch {
			c.owners[e.Shard] = owner{e.Worker, e.Epoch}
		}
	case instants.End:
		if e.Epoch >= c.owners[e.Shard].epoch {
			c.owners[e.Shard] = owner{"", e.Epoch}
		}
	case instants.Deliver:
		c.told.deliveries += e.Records
	case instants.Apply:
		c.told.repeats += e.Records - e.Fresh
	case instants.Refuse:
		c.told.refused++
	case instants.Reach:
		c.reached[arrival{e.Worker, e.Instant}] = e
	}
	return nil
}

// command is the bank with more flags, and its database behind an address.
func (c *crew) command(ctx context.Context, address string, more ...string) *exec.Cmd {
	args := append([]string{"-sink", c.place.sink(address)}, c.args...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.bank, append(args, more...)...) // it is ended in its own way
	cmd.Env = c.env
	if c.place.env != nil {
		cmd.Env = append(slices.Clip(cmd.Env), c.place.env(address)...)
	}
	return cmd
}

// setup has the bank make its tables.
func (c *crew) setup(ctx context.Context) error {
	out, err := c.command(ctx, c.place.address, "-setup").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the bank's setup: %w\n%s", err, out)
	}
	return nil
}

// hire starts a worker, with a proxy of its own before the database.
func (c *crew) hire(ctx context.Context) (*worker, error) {
	c.mu.Lock()
	c.hired++
	name := fmt.Sprintf("w%02d", c.hired)
	c.mu.Unlock()
	address, proxy := "", (*torment.Proxy)(nil)
	if c.place.address != "" {
		var err error
		if proxy, err = torment.NewProxy(ctx, c.place.address); err != nil {
			return nil, err
		}
		address = proxy.Address()
	}
	task, err := instants.Task{Worker: name, Unmarked: c.unmarked}.Env()
	if err != nil {
		return nil, err
	}
	cmd := c.command(ctx, address)
	cmd.Stderr = c.log
	cmd.Env = append(slices.Clip(cmd.Env), task)
	return c.Hire(name, cmd, proxy, c.ended)
}

func (c *crew) ended(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.Told() {
		c.faults = append(c.faults, fmt.Sprintf("%s ended by itself: %v", w.Name, w.Err))
	}
}

// owns tells whether a worker was the last to seal some shard.
func (c *crew) owns(w *worker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.owners {
		if o.worker == w.Name {
			return true
		}
	}
	return false
}

// sealed is how many shards were sealed by a worker that runs.
func (c *crew) sealed() (n int) {
	running := make(map[string]bool)
	for _, w := range c.Running() {
		running[w.Name] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.owners {
		if running[o.worker] {
			n++
		}
	}
	return n
}

// counted is what was told so far.
func (c *crew) counted() (tally, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told, c.faults
}

// patience is how long workers have to come to an instant.
const patience = 10 * time.Second

// arrive has the next call of one of the workers that comes to an instant wait there, and gives it, or nil if there is none in time.
func (c *crew) arrive(ctx context.Context, all []*worker, i instants.Instant) (w *worker, e instants.Event) {
	c.mu.Lock()
	for _, w := range all {
		delete(c.reached, arrival{w.Name, i})
	}
	c.mu.Unlock()
	for _, w := range all {
		_ = w.Say("arm " + string(i)) // one that has ended arrives nowhere
	}
	until(ctx, patience, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, some := range all {
			if there, ok := c.reached[arrival{some.Name, i}]; ok {
				w, e = some, there
			}
		}
		return w != nil
	})
	for _, other := range all {
		if other != w {
			_ = other.Say("go " + string(i))
		}
	}
	return w, e
}

// taken tells whether another has sealed the shard of an event since.
func (c *crew) taken(e instants.Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owners[e.Shard].epoch > e.Epoch
}

// until waits until ok holds, and tells whether it does: the limit or the end of ctx may come first.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for deadline := torment.Clock() + limit; !ok(); {
		if torment.Clock() > deadline || backoff.Wait(ctx, 10*time.Millisecond) != nil {
			return false
		}
	}
	return true
}
