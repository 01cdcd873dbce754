package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// crew is the worker processes of a run, and what they told.
type crew struct {
	*torment.Crew
	services localstack.Clients
	storage  *storage
	kind     storeKind
	job      task // of every worker, but for its name

	mu      sync.Mutex
	hired   int
	events  []event
	owners  map[string]owner    // of shards, as far as it was told
	left    string              // a worker that ended by itself
	handled map[string]struct{} // shards and positions of the records that were
}

// owner is who has a shard.
type owner struct {
	worker string
	epoch  uint64
	begun  bool // it has handled a record
}

// worker is one process.
type worker = torment.Worker

func newCrew(services localstack.Clients, k storeKind, st *storage, job task) (_ *crew, err error) {
	c := &crew{services: services, kind: k, storage: st, job: job, owners: make(map[string]owner), handled: make(map[string]struct{})}
	c.Crew, err = torment.NewCrew(c.hear)
	return c, err
}

// hear notes what a worker says.
func (c *crew) hear(line []byte) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	c.note(e)
	return nil
}

func (c *crew) note(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	switch o := c.owners[e.Shard]; e.Kind {
	case assigned, begun:
		if e.Epoch >= o.epoch {
			c.owners[e.Shard] = owner{e.Worker, e.Epoch, e.Kind == begun || e.Epoch == o.epoch && o.begun}
		}
	case lost:
		if o.worker == e.Worker && o.epoch == e.Epoch {
			delete(c.owners, e.Shard)
		}
	case done:
		c.handled[e.Shard+" "+e.Position.String()] = struct{}{}
	case ended:
		if e.Failed {
			c.left = e.Worker
		}
	default:
	}
}

// deserter is a worker that ended by itself; "": none did.
func (c *crew) deserter() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// owned are the shards that a worker has, as far as that was told.
func (c *crew) owned(name string) (shards []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, o := range c.owners {
		if o.worker == name {
			shards = append(shards, id)
		}
	}
	return shards
}

// spread is how many shards each worker that runs has.
func (c *crew) spread() []int {
	var all []int
	for _, w := range c.Running() {
		all = append(all, len(c.owned(w.Name)))
	}
	return all
}

// lacks is how many of the records nobody has handled.
func (c *crew) lacks(records []record) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		if _, ok := c.handled[r.Shard+" "+r.Position.String()]; !ok {
			n++
		}
	}
	return n
}

// seen is how many events there are, and the events after the first n.
func (c *crew) seen(n int) []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events[n:])
}

// hire starts a worker, with a proxy of its own before the store.
func (c *crew) hire(ctx context.Context) (*worker, error) {
	c.mu.Lock()
	c.hired++
	job := c.job
	job.Worker = fmt.Sprintf("w%02d", c.hired)
	c.mu.Unlock()
	address, proxy := c.storage.address, (*torment.Proxy)(nil)
	if address != "" {
		var err error
		if proxy, err = torment.NewProxy(ctx, address); err != nil {
			return nil, err
		}
		address = proxy.Address()
	}
	job.Store = c.kind.name + " " + c.storage.what(address)
	cmd, err := job.command(ctx, c.services.Env())
	if err != nil {
		return nil, err
	}
	at := torment.Clock()
	w, err := c.Hire(job.Worker, cmd, proxy, func(w *worker) {
		e := event{At: torment.Clock(), Worker: w.Name, Kind: ended, Failed: !w.Told()}
		if w.Err != nil {
			e.Text = w.Err.Error()
		}
		c.note(e)
	})
	if err == nil {
		c.note(event{At: at, Worker: job.Worker, Kind: started})
	}
	return w, err
}

// command is this program as a child with a task. It outlives ctx: it is ended in its own way.
func (t task) command(ctx context.Context, env []string) (*exec.Cmd, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self)
	cmd.Env = append(append(os.Environ(), env...), taskVariable+"="+string(text))
	return cmd, nil
}

// hireAll starts n workers.
func (c *crew) hireAll(ctx context.Context, n int) ([]*worker, error) {
	all := make([]*worker, n)
	for i := range all {
		var err error
		if all[i], err = c.hire(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// allBegun tells whether every owner has handled a record of its shard.
func (c *crew) allBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.owners {
		if !o.begun {
			return false
		}
	}
	return true
}
