package torment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Worker is one process.
type Worker struct {
	Name  string
	Proxy *Proxy        // nil: there is none before it
	Ended chan struct{} // closed when it has ended
	Err   error         // of its end, after Ended

	cmd *exec.Cmd
	in  io.WriteCloser // closed, also by the death of this process, it ends the worker

	mu   sync.Mutex
	told bool // to end
	busy bool // something is being done to it
}

// Told tells whether the worker's end is no surprise.
func (w *Worker) Told() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

func (w *Worker) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = true
}

func (w *Worker) occupied() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy
}

func (w *Worker) occupy(busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = busy
}

// Say writes a line to the worker's standard input.
func (w *Worker) Say(line string) error {
	_, err := io.WriteString(w.in, line+"\n")
	return err
}

// Kill ends the worker with no time for a last word. It gives the instant.
func (w *Worker) Kill() (time.Duration, error) {
	w.tell()
	at := Clock()
	if err := w.cmd.Process.Kill(); err != nil {
		return at, fmt.Errorf("kill %s: %w", w.Name, err)
	}
	<-w.Ended
	return at, nil
}

// patience is how long a worker may take to stop.
const patience = 90 * time.Second

// Terminate tells the worker to stop, and waits until it has. The error is how it ended.
func (w *Worker) Terminate() error {
	w.tell()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("terminate %s: %w", w.Name, err)
	}
	overdue := time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() }) // it may just have ended
	defer overdue.Stop()
	<-w.Ended
	if w.Err != nil {
		return fmt.Errorf("%s did not stop cleanly: %w", w.Name, w.Err)
	}
	return nil
}

// Freeze stops the worker for a while, as a machine does whose memory is moved. It ends early with ctx, and the worker runs on if this process dies.
func (w *Worker) Freeze(ctx context.Context, d time.Duration) error {
	thaw, err := w.Stop(ctx)
	if err != nil {
		return err
	}
	_ = backoff.Wait(ctx, d)
	return thaw()
}

// Stop stops the worker until thaw is called, or this process dies.
func (w *Worker) Stop(ctx context.Context) (thaw func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	guard := exec.CommandContext(context.WithoutCancel(ctx), self)
	guard.Env, guard.Stderr = append(os.Environ(), guardVariable+"="+strconv.Itoa(w.cmd.Process.Pid)), os.Stderr
	alive, err := guard.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := guard.Start(); err != nil {
		return nil, err
	}
	err = w.cmd.Process.Signal(syscall.SIGSTOP)
	thaw = func() error { return errors.Join(alive.Close(), guard.Wait()) }
	if err != nil {
		return nil, errors.Join(err, thaw())
	}
	return thaw, nil
}

// guardVariable is the environment variable that makes a program the guard of the process of that number.
const guardVariable = "RUNNEL_TORMENT_GUARD"

// Guard does the work of this process if it was started as the guard of one that is stopped, and gives its exit code: main calls it before all else. A guard wakes the process once its parent says so or is gone: a stopped process could not see
// that for itself.
func Guard() (code int, guarded bool) {
	text, guarded := os.LookupEnv(guardVariable)
	if !guarded {
		return 0, false
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	pid, err := strconv.Atoi(text)
	if err == nil {
		var p *os.Process
		if p, err = os.FindProcess(pid); err == nil {
			err = p.Signal(syscall.SIGCONT)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "wake process %s: %v\n", text, err)
		return 1, true
	}
	return 0, true
}
