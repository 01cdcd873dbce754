package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// taskVariable is the environment variable that makes this program a child of a bench. It holds a [task].
const taskVariable = "RUNNEL_BENCH_TASK"

// task is what a child process does.
type task struct {
	Role    string
	Load    load   // of stub and readers
	Profile string // where to write a profile of the processor; "": none
	Shards  int
	Seconds int
	Service string
	Stream  string
	Leases  string
}

// usage is what a child tells at its end.
type usage struct {
	Records int64
	CPU     float64 // seconds, user and system
	System  float64 // of that, for it
	Wall    float64 // seconds
	Allocs  uint64
	Bytes   uint64 // allocated
	GCs     uint32
	Peak    int64 // bytes resident at most
	Rest    int64 // bytes resident at the end
}

var roles = map[string]func(context.Context, task) (usage, error){
	"sdk":    measured(readWithSDK),
	"runnel": measured(readWithRunnel),
	"body":   measured(readBodies),
	"empty":  rest,
	"idle":   idle,
	"first":  first,
}

// child runs a task and writes its usage, until it is done or the parent is gone.
func child(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	go func() { // it has no end but that of the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	if t.Role == "stub" {
		return serve(ctx, t.Load)
	}
	role, ok := roles[t.Role]
	if !ok {
		return fmt.Errorf("no role is called %q", t.Role)
	}
	u, err := role(ctx, t)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Role, err)
	}
	return json.NewEncoder(os.Stdout).Encode(u)
}
