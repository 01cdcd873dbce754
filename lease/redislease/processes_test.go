//go:build engines

package redislease_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

// roleVariable tells the test's own binary to be another process of that role, on the server and with the prefix that are its arguments.
const roleVariable = "REDISLEASE_TEST_ROLE"

var roles = map[string]func(ctx context.Context, s *redislease.Store) error{"racer": beRacer, "worker": beWorker}

// play is what such a process does.
func play(ctx context.Context, role, url, prefix string) error {
	o, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	o.ContextTimeoutEnabled = true
	c := redis.NewClient(o)
	return errors.Join(roles[role](ctx, redislease.New(c, &redislease.Config{Prefix: prefix})), c.Close())
}

// process is another process. It does its part when it may, and says so on its standard output.
type process struct {
	cmd    *exec.Cmd
	permit io.WriteCloser
	out    *bufio.Reader
	errors *strings.Builder
}

func start(t *testing.T, role, prefix string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], server.URL, prefix), errors: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	p.cmd.Stderr = p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if p.permit, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// allow lets processes go on, all at once, when all wait for it.
func allow(t *testing.T, processes ...*process) {
	t.Helper()
	for _, p := range processes {
		if line := p.line(t); line != "waiting" {
			t.Fatalf("%q", line)
		}
	}
	for _, p := range processes {
		if err := p.permit.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, p.errors)
	}
	return strings.TrimSpace(line)
}

// end reads what is left of the output and waits for the process.
func (p *process) end(t *testing.T) (lines []string) {
	t.Helper()
	text, err := io.ReadAll(p.out)
	if err := errors.Join(err, p.cmd.Wait()); err != nil {
		t.Fatalf("%v: %s", err, p.errors)
	}
	return strings.Fields(string(text))
}

func (p *process) kill(t *testing.T) (unread string) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(p.out)
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("a killed process ends with %v", err)
	}
	return string(text)
}

const (
	raceRows     = 5
	raceVersions = 60
)

// beRacer writes rows up to a version and says which writes it won.
func beRacer(ctx context.Context, s *redislease.Store) error {
	fmt.Println("waiting")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	var keys []string
	for i := range raceRows {
		keys = append(keys, fmt.Sprintf("a/%d", i))
	}
	for {
		stored, err := s.Get(ctx, keys)
		if err != nil {
			return err
		}
		var rows []lease.Row
		for _, r := range stored {
			if r.Version < raceVersions {
				rows = append(rows, lease.Row{Key: r.Key, Version: r.Version, Value: fmt.Appendf(nil, "%d", os.Getpid())})
			}
		}
		if len(rows) == 0 {
			return nil
		}
		rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		errs := s.Put(ctx, rows)
		for i, r := range rows {
			switch {
			case errs == nil || errs[i] == nil:
				fmt.Printf("%s@%d\n", r.Key, r.Version+1)
			case !errors.Is(errs[i], lease.ErrConflict):
				return errs[i]
			}
		}
		if err := backoff.Wait(ctx, rand.N(4*time.Millisecond)); err != nil { // nobody writes without a pause
			return err
		}
	}
}

func TestHazard21OneOfSeveralProcessesWinsEachVersion(t *testing.T) {
	c := dial(t, server.URL)
	prefix := newPrefix(t, c)
	s := redislease.New(c, &redislease.Config{Prefix: prefix})
	var racers []*process
	for range 4 {
		racers = append(racers, start(t, "racer", prefix))
	}
	allow(t, racers...)
	won, winners := map[string]int{}, 0
	for _, p := range racers {
		lines := p.end(t)
		if len(lines) > 0 {
			winners++
		}
		for _, line := range lines {
			won[line]++
		}
	}
	if winners < 2 {
		t.Errorf("%d processes won anything: it was no race", winners)
	}
	for i := range raceRows {
		key := fmt.Sprintf("a/%d", i)
		if v := get(t, s, key).Version; v != raceVersions {
			t.Errorf("%s has version %d; want %d", key, v, raceVersions)
		}
		for v := 1; v <= raceVersions; v++ {
			if n := won[fmt.Sprintf("%s@%d", key, v)]; n != 1 {
				t.Errorf("version %d of %s was won %d times", v, key, n)
			}
		}
	}
}

const workerShards = 4

// beWorker stores positions of its shards without end, and says "shard epoch position" for each that was stored.
func beWorker(ctx context.Context, s *redislease.Store) error {
	coordinator, err := lease.NewCoordinator(lease.Config{
		Store: s, App: "orders", Stream: "orders", Timing: quick,
		Shards: func(context.Context) iter.Seq2[lease.Shard, error] {
			return func(yield func(lease.Shard, error) bool) {
				for i := range workerShards {
					if !yield(lease.Shard{ID: fmt.Sprintf("shard-%d", i)}, nil) {
						return
					}
				}
			}
		},
		Pin:  func(_ context.Context, at checkpoint.Start) (checkpoint.Start, error) { return at, nil },
		Gone: func(context.Context, string) (bool, error) { return false, nil },
		Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} {
			n, _ := l.Start().Position().Offset()
			for l.Valid() {
				n++
				if err := l.Checkpoint(ctx, checkpoint.Offset(n), checkpoint.Ahead{}); err != nil {
					break
				}
				fmt.Printf("%s %d %d\n", l.Shard().ID, l.Epoch(), n)
			}
			return nil
		},
		Error: func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	if err != nil {
		return err
	}
	return coordinator.Run(ctx)
}

// stored is a position that a worker said to have stored.
type stored struct{ epoch, position uint64 }

// reach reads what a worker says until it has stored n positions of every shard, and has the last of each.
func reach(t *testing.T, p *process, n int) map[string]stored {
	t.Helper()
	last, times := map[string]stored{}, map[string]int{}
	for enough := 0; enough < workerShards; {
		shard, at := positionIn(t, p.line(t))
		last[shard] = at
		if times[shard]++; times[shard] == n {
			enough++
		}
	}
	return last
}

func positionIn(t *testing.T, line string) (shard string, at stored) {
	t.Helper()
	if _, err := fmt.Sscan(line, &shard, &at.epoch, &at.position); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return shard, at
}

func TestShardsOfAKilledProcessGoOnInAnother(t *testing.T) {
	prefix := newPrefix(t, dial(t, server.URL))
	one := start(t, "worker", prefix)
	last := reach(t, one, 3)
	for line := range strings.Lines(one.kill(t)) {
		if strings.HasSuffix(line, "\n") {
			shard, at := positionIn(t, line)
			last[shard] = at
		}
	}
	other := start(t, "worker", prefix)
	first := reach(t, other, 1)
	for shard, was := range last {
		if is := first[shard]; is.epoch <= was.epoch || is.position <= was.position {
			t.Errorf("%s: the second process is in epoch %d at %d, the first was in %d at %d", shard, is.epoch, is.position, was.epoch, was.position)
		}
	}
	other.kill(t)
}
