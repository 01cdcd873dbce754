package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

// process is a child that does a task.
type process struct {
	cmd   *exec.Cmd
	alive io.Closer // closed, also by the death of this process, it ends the child
	lines *bufio.Reader
}

// cores are where children are pinned to, so that the reader and who serves it do not share one.
const (
	readerCore = 0
	serverCore = 1
	anyCore    = -1
)

// pinned tells whether children can be pinned.
func pinned() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() > 1
}

// onCore is a command that runs on one core, where that can be had.
func onCore(core int, argv ...string) []string {
	if core == anyCore || !pinned() {
		return argv
	}
	return append([]string{"taskset", "--cpu-list", strconv.Itoa(core)}, argv...)
}

// launch starts a child on a core.
func launch(ctx context.Context, t task, core int, env ...string) (*process, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	argv := onCore(core, self)
	p := &process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Env = append(append(os.Environ(), env...), taskVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.alive, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// stop ends the child and waits for it.
func (p *process) stop() error {
	_ = p.alive.Close() // it may have ended
	return p.cmd.Wait()
}

// run does a task in a child, to its end.
func run(ctx context.Context, t task, core int, env ...string) (usage, error) {
	p, err := launch(ctx, t, core, env...)
	if err != nil {
		return usage{}, fmt.Errorf("start %s: %w", t.Role, err)
	}
	var u usage
	err = json.NewDecoder(p.lines).Decode(&u)
	if err = errors.Join(err, p.stop()); err != nil {
		return usage{}, fmt.Errorf("%s: %w", t.Role, err)
	}
	return u, nil
}
