//go:build engines

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crew is the worker processes of a test. What they handle is noted in the bench's deliveries, in the order in which they did.
type crew struct {
	bench *bench
	out   *os.File

	mu       sync.Mutex
	refusals []delivery // of poisonous records, in the order in which they were
	states   map[string][]processState
	logs     map[string][]logged
}

func newCrew(t *testing.T, b *bench) *crew {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &crew{bench: b, out: out, states: make(map[string][]processState), logs: make(map[string][]logged)}
	read := make(chan error, 1)
	go func() { read <- c.read(in) }()
	t.Cleanup(func() { // runs after the workers' own
		_ = out.Close()
		if err := <-read; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c)
		}
	})
	return c
}

// read notes lines until the last writer of the pipe is gone.
func (c *crew) read(in io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, in.Close()) }()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("a worker wrote %q: %w", lines.Text(), err)
		}
		c.note(l)
	}
	return lines.Err()
}

func (c *crew) note(l line) {
	if l.Delivery != nil {
		c.bench.log.note(*l.Delivery)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.Refusal != nil {
		c.refusals = append(c.refusals, *l.Refusal)
	}
	if l.State != nil {
		c.states[l.Worker] = append(c.states[l.Worker], *l.State)
	}
	if l.Log != nil {
		c.logs[l.Worker] = append(c.logs[l.Worker], *l.Log)
	}
}

// of is what a worker told of itself.
func (c *crew) of(worker string) ([]processState, []logged) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states[worker]), slices.Clone(c.logs[worker])
}

// refused are the refusals of poisonous records so far.
func (c *crew) refused() []delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.refusals)
}

// String is the last lines of every worker's log.
func (c *crew) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, worker := range slices.Sorted(maps.Keys(c.logs)) {
		logs := c.logs[worker]
		for _, l := range logs[max(0, len(logs)-12):] {
			fmt.Fprintf(&b, "%s %s %s\n", worker, l.Level, l.Message)
		}
	}
	return b.String()
}

// worker is one process.
type worker struct {
	name  string
	cmd   *exec.Cmd
	alive io.Closer // closed, also by the death of this process, it ends the worker
	ended chan struct{}
	err   error // after ended
}

// hire starts a worker. job has what differs from the bench's own.
func (c *crew) hire(t *testing.T, name string, job task) *worker {
	t.Helper()
	job.Worker, job.Service, job.Stream = name, c.bench.service(), c.bench.name()
	job.App, job.Leases = c.bench.app, c.bench.leases
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{name: name, cmd: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0]), ended: make(chan struct{})}
	w.cmd.Env = append(append(os.Environ(), c.bench.clients.Env()...), taskVariable+"="+string(text))
	w.cmd.Stdout, w.cmd.Stderr = c.out, os.Stderr
	if w.alive, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.ended)
		w.err = w.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = w.alive.Close()
		<-w.ended
	})
	return w
}

// hireAll starts n workers of the same task.
func (c *crew) hireAll(t *testing.T, n int, job task) []*worker {
	t.Helper()
	all := make([]*worker, n)
	for i := range all {
		all[i] = c.hire(t, fmt.Sprintf("worker-%d", i+1), job)
	}
	return all
}

// owner waits until a worker has the shard, and is it.
func (c *crew) owner(t *testing.T, all []*worker, shard string) (w *worker) {
	t.Helper()
	eventually(t, says("no worker has shard %s", shard), func() bool {
		session := c.bench.row(t, shard).Owner
		i := slices.IndexFunc(all, func(w *worker) bool { return strings.HasPrefix(session, w.name+"-") })
		if i >= 0 {
			w = all[i]
		}
		return i >= 0
	})
	return w
}

// kill ends the worker with no time for a last word.
func (w *worker) kill(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.ended
}

// terminate tells the worker to stop. It must do so cleanly, and without a data race.
func (w *worker) terminate(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.finish(t)
}

// finish waits until the worker has ended, which must be cleanly.
func (w *worker) finish(t *testing.T) {
	t.Helper()
	select {
	case <-w.ended:
	case <-time.After(limit):
		t.Fatalf("%s has not ended", w.name)
	}
	if w.err != nil {
		t.Fatalf("%s: %v", w.name, w.err)
	}
}

func terminateAll(t *testing.T, all []*worker) {
	t.Helper()
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() { w.terminate(t) })
	}
	wg.Wait()
}
