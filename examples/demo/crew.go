package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/localstack"
)

// crew is the worker processes. They print into one pipe.
type crew struct {
	stack   *localstack.Stack
	options options
	tally   *tally
	failed  chan error // the first failure

	out    *os.File
	read   <-chan struct{} // closed when the last line was counted
	ending sync.Once

	mu      sync.Mutex
	workers map[string]*exec.Cmd // nil: killed
	stopped bool
	gone    sync.WaitGroup
}

func newCrew(stack *localstack.Stack, o options, t *tally) (*crew, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	read := make(chan struct{})
	c := &crew{
		stack: stack, options: o, tally: t, failed: make(chan error, 1),
		out: out, read: read, workers: make(map[string]*exec.Cmd),
	}
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			if err := t.count(lines.Text()); err != nil {
				c.fail(err)
			}
		}
		if err := in.Close(); err != nil {
			c.fail(err)
		}
	}()
	return c, nil
}

func (c *crew) fail(err error) {
	select {
	case c.failed <- err:
	default: // an earlier failure ends the demo
	}
}

// hire starts a worker, which outlives ctx: it is stopped in its own way.
func (c *crew) hire(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("worker-%d", len(c.workers)+1)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "-worker", name, "-stream", c.options.stream, "-table", c.options.table)
	cmd.Env = append(os.Environ(), c.stack.Env()...)
	cmd.Stdout, cmd.Stderr = c.out, os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // never written: it ends with this process
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.workers[name] = cmd
	c.gone.Go(func() {
		err := cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.workers[name] != nil && !c.stopped {
			c.fail(fmt.Errorf("%s ended on its own: %w", name, err))
		}
	})
	return nil
}

// kill ends the worker that handled the most, with no time for a last word.
func (c *crew) kill() {
	name := c.tally.busiest()
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd := c.workers[name]
	c.workers[name] = nil
	c.tally.killed(name)
	if err := cmd.Process.Kill(); err != nil {
		c.fail(err)
		return
	}
	fmt.Printf("killed %s (process %d) with SIGKILL\n", name, cmd.Process.Pid)
}

// stop lets the workers give up their shards, and waits for them.
func (c *crew) stop() {
	c.ending.Do(func() {
		c.mu.Lock()
		c.stopped = true
		for _, cmd := range c.workers {
			if cmd != nil {
				_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, which Wait reports
			}
		}
		c.mu.Unlock()
		late := time.AfterFunc(time.Minute, c.abandon)
		defer late.Stop()
		c.gone.Wait()
		_ = c.out.Close() // the pipe's last writer: now its reader ends
		<-c.read
	})
}

func (c *crew) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.workers {
		if cmd != nil {
			_ = cmd.Process.Kill() // likewise
		}
	}
}
