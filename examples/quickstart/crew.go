package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// crew is the worker processes of this start.
type crew struct {
	run   *run
	flags []string
	ended chan *member // those that ended before they were stopped

	members []*member // in the order in which they were hired
	gone    sync.WaitGroup
}

// member is one worker process.
type member struct {
	name string
	n    int
	cmd  *exec.Cmd
	life io.Closer // its standard input: it stops when this is closed
	log  string    // the file of what it says
	over chan struct{}

	// Once over is closed:
	err error
	at  time.Time
}

func newCrew(r *run, o options) *crew {
	return &crew{run: r, flags: o.forWorkers(), ended: make(chan *member, o.workers)}
}

// hire starts a worker. It outlives ctx: it is stopped in its own way.
func (c *crew) hire(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n, err := c.run.hire(ctx)
	if err != nil {
		return err
	}
	m := &member{name: workerName(n), n: n, over: make(chan struct{})}
	m.log = filepath.Join(c.run.dir, m.name+".log")
	log, err := os.Create(m.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	m.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, append(c.flags, "-worker", m.name)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if m.life, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	c.members = append(c.members, m)
	c.gone.Go(func() {
		m.err = m.cmd.Wait()
		m.at = time.Now()
		close(m.over)
		c.ended <- m
	})
	return nil
}

func (m *member) alive() bool {
	select {
	case <-m.over:
		return false
	default:
		return true
	}
}

// kill ends a worker with no time for a last word.
func (m *member) kill() error {
	if err := m.cmd.Process.Kill(); err != nil {
		return err
	}
	<-m.over
	return nil
}

// last is the end of what a worker said, for an error about it.
func (m *member) last() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}

// patience is how long workers may take to stop.
const patience = time.Minute

// stop lets the workers finish what they have and give up their shards, and waits for them.
func (c *crew) stop() error {
	var stopped []*member
	for _, m := range c.members {
		if m.alive() {
			stopped = append(stopped, m)
		}
		_ = m.life.Close() // closed already if it has ended
	}
	late := time.AfterFunc(patience, func() {
		for _, m := range stopped {
			_ = m.cmd.Process.Kill() // likewise
		}
	})
	defer late.Stop()
	c.gone.Wait()
	var errs []error
	for _, m := range stopped {
		if m.err != nil {
			errs = append(errs, fmt.Errorf("%s did not stop cleanly: %w\n%s", m.name, m.err, m.last()))
		}
	}
	return errors.Join(errs...)
}
