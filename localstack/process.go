package localstack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

//go:embed run/supervise.sh
var supervise string

// process is one part of the stack: a process group with a temporary folder, both gone after stop.
type process struct {
	name   string
	folder string
	cmd    *exec.Cmd
	alive  io.Closer // closing it, or dying with it open, ends the group
	tail   *tail
	done   chan struct{} // closed when the group's leader has ended
}

// launch starts argv in dir, with env added to this process's environment. The part finds folder in TMPDIR.
func launch(ctx context.Context, o Options, name, folder, dir string, env []string, argv ...string) (*process, error) {
	p := &process{name: name, folder: folder, tail: &tail{next: o.Log}, done: make(chan struct{})}
	// It outlives the start, whose context this is.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append([]string{"-c", supervise, name, folder}, argv...)...)
	p.cmd.Dir = dir
	p.cmd.Env = append(append(os.Environ(), "TMPDIR="+folder), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.tail, p.tail
	p.cmd.WaitDelay = time.Second // a leader killed from outside leaves the pipe of its output with the group
	ownGroup(p.cmd)
	var err error
	if p.alive, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("localstack: start %s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("localstack: start %s: %w", name, errors.Join(err, p.alive.Close(), os.RemoveAll(folder)))
	}
	go func() {
		defer close(p.done)
		// Always "killed": the supervisor ends its own group. If it was killed alone, Wait closes the pipe to the group.
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// stop kills the group, waits for its leader and removes the folder.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
	default:
		killGroup(p.cmd)
		<-p.done
	}
	return os.RemoveAll(p.folder)
}

// errEnded matches the error of a part that ended before it answered.
var errEnded = errors.New("ended while it started")

// await asks until probe succeeds, p ends, or the time is up. p is nil for services that others started.
func await(ctx context.Context, o Options, p *process, name string, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var ended chan struct{}
	var tail *tail
	if p != nil {
		ended, tail = p.done, p.tail
	}
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		err := probe(ctx)
		select {
		case <-ended:
			return fmt.Errorf("localstack: %s %w%s", name, errEnded, tail)
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("localstack: %s does not answer: %w: %w%s", name, context.Cause(ctx), err, tail)
		case <-ended:
		case <-pause.C:
		}
	}
}

// freePort finds a port that nothing on loopback uses. It stays below the range from which systems take the ports of
// outgoing connections, which could occupy it before the part listens.
func freePort(ctx context.Context) (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(16000 + rand.IntN(16000))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("localstack: no free port: %w", err)
}
