//go:build unix

package localstack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// family is a part that starts another and prints when both run; neither ends by itself.
const family = `sleep 1000 & touch "$TMPDIR/file"; echo running; wait`

func start(t *testing.T, log io.Writer, script string) *process {
	t.Helper()
	p, err := launch(t.Context(), Options{Log: log}, "part", t.TempDir(), "", nil, "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop() })
	return p
}

// gone fails the test unless the process group ends in time.
func gone(t *testing.T, group int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		select {
		case <-ctx.Done():
			t.Fatalf("process group %d is still there", group)
		case <-pause.C:
		}
	}
}

// running reads until the family runs.
func running(t *testing.T, r io.Reader) {
	t.Helper()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "running\n" {
		t.Fatalf("the part printed %q, %v", line, err)
	}
}

func TestStopEndsTheWholeGroupAndRemovesItsFolder(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	p := start(t, w, family)
	running(t, r)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	gone(t, p.cmd.Process.Pid)
	if _, err := os.Stat(p.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestGroupEndsWithItsPart(t *testing.T) {
	t.Parallel()
	p := start(t, io.Discard, "sleep 1000 & exit 3")
	<-p.done
	gone(t, p.cmd.Process.Pid)
	if got := p.tail.String(); !strings.Contains(got, "part ended with status 3") {
		t.Errorf("it says %q", got)
	}
}

func TestGroupEndsWhenItsSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	p := start(t, w, family)
	running(t, r)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	gone(t, p.cmd.Process.Pid)
}

const orphanFolder = "RUNNEL_TEST_ORPHAN"

// orphan makes this process, if a test started it as such, start a family, print its group and wait to be killed.
func orphan() bool {
	folder := os.Getenv(orphanFolder)
	if folder == "" {
		return false
	}
	r, w := io.Pipe()
	p, err := launch(context.Background(), Options{Log: w}, "part", folder, "", nil, "/bin/sh", "-c", family)
	if err == nil {
		_, err = bufio.NewReader(r).ReadString('\n')
	}
	if err != nil {
		fmt.Println(err)
		return true
	}
	fmt.Println(p.cmd.Process.Pid)
	<-p.done
	return true
}

func TestGroupEndsWhenTheTestIsKilled(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), orphanFolder+"="+folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	gone(t, group)
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestPartThatEndsWhileItStartsShowsWhatItPrinted(t *testing.T) {
	p := start(t, io.Discard, "echo no such class >&2; exit 1")
	err := await(t.Context(), Options{Timeout: time.Minute}, p, "part", func(context.Context) error { return io.EOF })
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no such class") {
		t.Errorf("got %v", err)
	}
}

func TestPartThatNeverAnswersShowsWhatItPrinted(t *testing.T) {
	r, w := io.Pipe()
	p := start(t, w, family)
	running(t, r)
	err := await(t.Context(), Options{Timeout: time.Millisecond}, p, "part", func(context.Context) error { return io.EOF })
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "running") {
		t.Errorf("got %v", err)
	}
}

func TestTakenPortIsTriedElsewhere(t *testing.T) {
	var tried []string
	err := onFreePorts(t.Context(), 1, func(ports []string) error {
		tried = append(tried, ports[0])
		if len(tried) < 3 {
			return fmt.Errorf("part %w", errEnded)
		}
		return nil
	})
	if err != nil || len(tried) != 3 || tried[0] == tried[1] && tried[1] == tried[2] {
		t.Errorf("got %v after the ports %v", err, tried)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	log := &tail{next: io.Discard}
	for i := range 10000 {
		fmt.Fprintf(log, "line %d\n", i)
	}
	got := log.String()
	if !strings.HasSuffix(got, "line 9999\n") || len(got) > 2*tailBytes {
		t.Errorf("kept %d bytes: …%q", len(got), got[len(got)-20:])
	}
}
