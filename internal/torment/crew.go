package torment

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Crew is worker processes, and the pipe into which all of them write what they do, a line for each event.
type Crew struct {
	out  *os.File
	read chan error
	gone sync.WaitGroup

	mu      sync.Mutex
	members []*Worker // in the order in which they were hired
}

// NewCrew makes a crew of nobody. hear is called with each line that a worker writes, one after the other.
func NewCrew(hear func(line []byte) error) (*Crew, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &Crew{out: out, read: make(chan error, 1)}
	go func() { c.read <- listen(in, hear) }()
	return c, nil
}

// listen hears what workers say until the last of them is gone.
func listen(in io.ReadCloser, hear func(line []byte) error) (err error) {
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
		if err := hear(text); err != nil {
			return fmt.Errorf("a worker wrote %q: %w", text, err)
		}
	}
}

// Hire starts a worker, behind a proxy if that is not nil, which then is the worker's. ended is called when it has ended, and before anybody who waits for that goes on. What it logs goes where cmd.Stderr says, by default to this process's.
func (c *Crew) Hire(name string, cmd *exec.Cmd, proxy *Proxy, ended func(w *Worker)) (*Worker, error) {
	w := &Worker{Name: name, Proxy: proxy, cmd: cmd, Ended: make(chan struct{})}
	cmd.Stdout = c.out
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	var err error
	if w.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.members = append(c.members, w)
	c.mu.Unlock()
	c.gone.Go(func() {
		w.Err = cmd.Wait()
		ended(w)
		if proxy != nil {
			_ = proxy.Close() // it was open
		}
		close(w.Ended)
	})
	return w, nil
}

// Running are the workers that have not ended and were not told to.
func (c *Crew) Running() []*Worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Worker
	for _, w := range c.members {
		select {
		case <-w.Ended:
		default:
			if !w.Told() {
				all = append(all, w)
			}
		}
	}
	return all
}

// TerminateAll tells all workers that run to stop, at once.
func (c *Crew) TerminateAll() error {
	all := c.Running()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, w := range all {
		wg.Go(func() { errs[i] = w.Terminate() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Dismiss ends whatever runs still, and waits for all that was said.
func (c *Crew) Dismiss() error {
	c.mu.Lock()
	for _, w := range c.members {
		w.tell()
		_ = w.in.Close() // it may have ended
	}
	c.mu.Unlock()
	c.gone.Wait()
	return errors.Join(c.out.Close(), <-c.read)
}

// Untouched is how many workers are left in peace at any time.
const Untouched = 2

// ErrNobody says that for two minutes there were too few workers.
var ErrNobody = errors.New("there is no worker left to torment")

// Pick chooses a worker to which nothing is being done, and of which fit is true unless that is nil, and keeps others from it until release is called.
func (c *Crew) Pick(ctx context.Context, r *rand.Rand, fit func(w *Worker) bool) (w *Worker, release func(), err error) {
	for range 600 {
		if w := c.choose(r, fit); w != nil {
			return w, func() { w.occupy(false) }, nil
		}
		if err := backoff.Wait(ctx, 200*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, ErrNobody
}

// Take keeps others from a worker until release is called, unless something is being done to it.
func (c *Crew) Take(w *Worker) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.Told() || w.occupied() {
		return nil, false
	}
	w.occupy(true)
	return func() { w.occupy(false) }, true
}

func (c *Crew) choose(r *rand.Rand, fit func(w *Worker) bool) *Worker {
	all := c.Running()
	c.mu.Lock() // of two who choose at once, the second sees what the first has chosen
	defer c.mu.Unlock()
	free := slices.DeleteFunc(all, (*Worker).occupied)
	if len(free) <= Untouched {
		return nil
	}
	if fit != nil {
		free = slices.DeleteFunc(free, func(w *Worker) bool { return !fit(w) })
	}
	if len(free) == 0 {
		return nil
	}
	w := free[r.IntN(len(free))]
	w.occupy(true)
	return w
}
