package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// taskVariable is the environment variable that makes this program a child of chaos. It holds a [task].
const taskVariable = "RUNNEL_CHAOS_TASK"

// task is what a child process does.
type task struct {
	Worker string
	Stream string
	App    string
	Store  string       // what [openStore] opens
	EveryN int          // 0: a checkpoint after every record; defaults: [consumer.Config]'s own
	Timing lease.Timing // zero: the defaults
	Busy   time.Duration
	Idle   time.Duration
	Pace   time.Duration // that a call of the handler takes
	Break  fault
}

// defaults is an EveryN.
const defaults = -1

// child does the task of a child process. It ends at once when the parent is gone.
func child(text string) (code int) {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	orphaned := make(chan struct{})
	go func() { // it has no end but that of the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(orphaned)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- t.work(ctx) }()
	select {
	case err := <-worked:
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", t.Worker, err)
			return 1
		}
		return 0
	case <-orphaned:
		return 3
	}
}
