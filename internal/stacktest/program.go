package stacktest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Program is a process of a program of this module.
type Program struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	err  error // after done
}

// Start builds the program in a folder and starts it, with env beside the environment of the test. It is killed at the end of the test if it
// still runs.
func Start(t *testing.T, dir string, env []string, args ...string) *Program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, dir).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, out)
	}
	p := &Program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended, which is well
		<-p.done
		if t.Failed() {
			t.Logf("%s %s printed:\n%s", dir, strings.Join(args, " "), p.out.String())
		}
	})
	return p
}

// Await waits until the program has printed a line that has all of parts.
func (p *Program) Await(t *testing.T, parts ...string) {
	t.Helper()
	Eventually(t, func() string { return "no line has all of " + strings.Join(parts, ", ") }, func() bool {
		for line := range strings.Lines(p.out.String()) {
			if has(line, parts) {
				return true
			}
		}
		return false
	})
}

func has(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

// Stop sends SIGTERM and waits for the end, which must be a success.
func (p *Program) Stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.Wait(t)
}

// Wait waits for the end, which must be a success.
func (p *Program) Wait(t *testing.T) {
	t.Helper()
	late := time.NewTimer(Limit)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		t.Fatalf("the program still runs after %v", Limit)
	}
	if p.err != nil {
		t.Fatalf("the program ended with %v", p.err)
	}
}

// Output is what the program has printed so far.
func (p *Program) Output() string { return p.out.String() }

// output is written by a process and read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
