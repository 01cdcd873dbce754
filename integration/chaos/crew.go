package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// crew is the worker processes of a run, and what they told.
type crew struct {
	services localstack.Clients
	storage  *storage
	kind     storeKind
	job      task // of every worker, but for its name
	out      *os.File
	read     chan error
	gone     sync.WaitGroup

	mu      sync.Mutex
	hired   int
	members []*worker // in the order in which they were hired
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
type worker struct {
	name  string
	cmd   *exec.Cmd
	alive io.Closer // closed, also by the death of this process, it ends the worker
	proxy *proxy    // nil: its store has no address
	ended chan struct{}
	err   error // after ended
	told  bool  // to end; under the crew's mu
	busy  bool  // something is being done to it; under the crew's mu
}

func newCrew(services localstack.Clients, k storeKind, st *storage, job task) (*crew, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &crew{
		services: services, kind: k, storage: st, job: job, out: out, read: make(chan error, 1),
		owners: make(map[string]owner), handled: make(map[string]struct{}),
	}
	go func() { c.read <- c.listen(in) }()
	return c, nil
}

// listen notes what workers say until the last of them is gone.
func (c *crew) listen(in io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, in.Close()) }()
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("a worker wrote %q: %w", text, err)
		}
		c.note(e)
	}
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
	for _, w := range c.running() {
		all = append(all, len(c.owned(w.name)))
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
func (c *crew) hire(ctx context.Context) (_ *worker, err error) {
	c.mu.Lock()
	c.hired++
	w := &worker{name: fmt.Sprintf("w%02d", c.hired), ended: make(chan struct{})}
	c.mu.Unlock()
	address := c.storage.address
	if address != "" {
		if w.proxy, err = newProxy(ctx, address); err != nil {
			return nil, err
		}
		address = w.proxy.address()
	}
	job := c.job
	job.Worker, job.Store = w.name, c.kind.name+" "+c.storage.what(address)
	if w.cmd, w.alive, err = launch(ctx, job, c.services.Env(), c.out); err != nil {
		return nil, err
	}
	c.note(event{At: clock(), Worker: w.name, Kind: started})
	c.mu.Lock()
	c.members = append(c.members, w)
	c.mu.Unlock()
	c.gone.Go(func() {
		w.err = w.cmd.Wait()
		e := event{At: clock(), Worker: w.name, Kind: ended}
		c.mu.Lock()
		e.Failed = !w.told
		c.mu.Unlock()
		if w.err != nil {
			e.Text = w.err.Error()
		}
		c.note(e)
		if w.proxy != nil {
			_ = w.proxy.close() // it was open
		}
		close(w.ended)
	})
	return w, nil
}

// launch starts this program as a child with a task. It outlives ctx: it is ended in its own way.
func launch(ctx context.Context, job task, env []string, out *os.File) (*exec.Cmd, io.Closer, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self)
	cmd.Env = append(append(os.Environ(), env...), taskVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if out != nil {
		cmd.Stdout = out
	}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, alive, cmd.Start()
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

// kill ends a worker with no time for a last word. It gives the instant.
func (c *crew) kill(w *worker) (time.Duration, error) {
	c.tell(w)
	at := clock()
	if err := w.cmd.Process.Kill(); err != nil {
		return at, fmt.Errorf("kill %s: %w", w.name, err)
	}
	<-w.ended
	return at, nil
}

// tell notes that a worker's end is no surprise.
func (c *crew) tell(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.told = true
}

// patience is how long a worker may take to stop.
const patience = 90 * time.Second

// terminate tells a worker to stop, and waits until it has. The error is how it ended.
func (c *crew) terminate(w *worker) error {
	c.tell(w)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("terminate %s: %w", w.name, err)
	}
	overdue := time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() }) // it may just have ended
	defer overdue.Stop()
	<-w.ended
	if w.err != nil {
		return fmt.Errorf("%s did not stop cleanly: %w", w.name, w.err)
	}
	return nil
}

// terminateAll tells all workers that run to stop, at once.
func (c *crew) terminateAll() error {
	all := c.running()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, w := range all {
		wg.Go(func() { errs[i] = c.terminate(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// freeze stops a worker for a while, as a machine does whose memory is moved. It ends early with ctx, and the worker runs on if this process dies.
func (c *crew) freeze(ctx context.Context, w *worker, d time.Duration) error {
	guard, alive, err := launch(ctx, task{Wake: w.cmd.Process.Pid}, nil, nil)
	if err != nil {
		return err
	}
	err = w.cmd.Process.Signal(syscall.SIGSTOP)
	_ = backoff.Wait(ctx, d)
	return errors.Join(err, alive.Close(), guard.Wait())
}

// running are the workers that have not ended and were not told to.
func (c *crew) running() []*worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*worker
	for _, w := range c.members {
		select {
		case <-w.ended:
		default:
			if !w.told {
				all = append(all, w)
			}
		}
	}
	return all
}

// dismiss ends whatever runs still, and waits for all that was said.
func (c *crew) dismiss() error {
	c.mu.Lock()
	for _, w := range c.members {
		w.told = true
		_ = w.alive.Close() // it may have ended
	}
	c.mu.Unlock()
	c.gone.Wait()
	return errors.Join(c.out.Close(), <-c.read)
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
