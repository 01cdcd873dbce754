package sqllease_test

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// roleVariable tells the test's own binary to be another process of that role, on the file that is its argument.
const roleVariable = "SQLLEASE_TEST_ROLE"

var roles = map[string]func(ctx context.Context, file string) error{
	"maker":  beMaker,
	"racer":  beRacer,
	"writer": beWriter,
	"stuck":  beStuck,
	"worker": beWorker,
}

// process is another process. It does its part when it may, and says so on its standard output.
type process struct {
	cmd    *exec.Cmd
	permit io.WriteCloser
	out    *bufio.Reader
	errors *strings.Builder
}

func start(t *testing.T, role, file string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], file), errors: &strings.Builder{}}
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

func allowed() error {
	fmt.Println("waiting")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
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

// beMaker sets the store up.
func beMaker(ctx context.Context, at string) error {
	if err := allowed(); err != nil {
		return err
	}
	db, s, err := connect(at)
	if err != nil {
		return err
	}
	if err := s.Setup(ctx); err != nil {
		return err
	}
	return errors.Join(errors.Join(s.Put(ctx, []lease.Row{row(fmt.Sprintf("a/%d", os.Getpid()), 0)})...), db.Close())
}

func TestManyProcessesSetUpOneNewFile(t *testing.T) {
	for range 3 {
		manyMake(t, newFile(t))
	}
}

// manyMake has several processes set up one place in the same instant.
func manyMake(t *testing.T, at string) {
	t.Helper()
	var makers []*process
	for range 8 {
		makers = append(makers, start(t, "maker", at))
	}
	allow(t, makers...)
	for _, p := range makers {
		p.end(t)
	}
	_, s := connected(t, at)
	if keys := listed(t, s, "a/", ""); len(keys) != len(makers) {
		t.Fatalf("%d rows of %d processes", len(keys), len(makers))
	}
}

const (
	raceRows     = 5
	raceVersions = 40
)

// beRacer writes rows up to a version and says which writes it won.
func beRacer(ctx context.Context, at string) error {
	if err := allowed(); err != nil {
		return err
	}
	db, s, err := connect(at)
	if err != nil {
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
			return db.Close()
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
	_, _, file := newStore(t)
	race(t, file)
}

// race has several processes write the same rows of a place that is set up.
func race(t *testing.T, at string) {
	t.Helper()
	_, s := connected(t, at)
	var racers []*process
	for range 4 {
		racers = append(racers, start(t, "racer", at))
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

// batch is what beWriter and beStuck write at once.
func batch(version uint64) []lease.Row {
	rows := make([]lease.Row, 30)
	for i := range rows {
		rows[i] = row(fmt.Sprintf("a/%d", i), version)
	}
	return rows
}

// whole wants all rows of a batch to be of one version.
func whole(t *testing.T, s lease.Store) (version uint64) {
	t.Helper()
	version = get(t, s, "a/0").Version
	for _, r := range batch(0) {
		if v := get(t, s, r.Key).Version; v != version {
			t.Fatalf("%s has version %d and a/0 %d: a Put was applied in part", r.Key, v, version)
		}
	}
	return version
}

// beWriter writes batches until it is killed.
func beWriter(ctx context.Context, at string) error {
	_, s, err := connect(at)
	if err != nil {
		return err
	}
	for version := uint64(0); ; version++ {
		if errs := s.Put(ctx, batch(version)); errs != nil {
			return errors.Join(errs...)
		}
		fmt.Println(version + 1)
	}
}

func TestAKilledProcessLeavesNothingHalfAndLosesNothing(t *testing.T) {
	for range 8 {
		_, _, file := newStore(t)
		killAWriter(t, file)
	}
}

// killAWriter kills a process that writes to a place that is set up and empty.
func killAWriter(t *testing.T, at string) {
	t.Helper()
	_, s := connected(t, at)
	p := start(t, "writer", at)
	p.line(t)
	ctx, cancel := context.WithTimeout(t.Context(), rand.N(30*time.Millisecond))
	<-ctx.Done()
	cancel()
	acknowledged := uint64(1)
	for line := range strings.FieldsSeq(p.kill(t)) {
		if _, err := fmt.Sscan(line, &acknowledged); err != nil {
			t.Fatal(err)
		}
	}
	version := whole(t, s)
	if version != acknowledged && version != acknowledged+1 {
		t.Fatalf("version %d; the last that was acknowledged is %d", version, acknowledged)
	}
	put(t, s, batch(version)...)
}

// beStuck writes a batch, and stops in the middle until it is allowed to go on.
func beStuck(ctx context.Context, at string) error {
	tp, db, s, err := tapOn(at)
	if err != nil {
		return err
	}
	updates := 0
	tp.after = func(_ driver.ExecerContext, query string) error {
		if !strings.HasPrefix(query, "UPDATE") || strings.Contains(query, "_cursor") {
			return nil
		}
		if updates++; updates == 15 || strings.Contains(query, "json_to_recordset") { // a statement a row, or one for all
			return allowed()
		}
		return nil
	}
	return errors.Join(errors.Join(s.Put(ctx, batch(1))...), db.Close())
}

func TestAProcessStuckInAWriteHoldsUpWritersUntilItIsKilled(t *testing.T) {
	_, _, file := newStore(t)
	killAStuckOne(t, file, row("b/row", 0), "another connection holds the lock")
}

// killAStuckOne kills a process in the middle of a write to a place that is set up. Until then another write, which waits for it, ends only with its context, and says why.
func killAStuckOne(t *testing.T, at string, other lease.Row, why string) {
	t.Helper()
	_, s := connected(t, at)
	put(t, s, batch(0)...)
	p := start(t, "stuck", at)
	if line := p.line(t); line != "waiting" {
		t.Fatal(line)
	}
	if v := whole(t, s); v != 1 {
		t.Errorf("readers see version %d while it is being written; want 1", v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for _, err := range s.Put(ctx, batch(1)) {
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, lease.ErrConflict) || !strings.Contains(err.Error(), why) {
			t.Fatalf("a write meanwhile: %v", err)
		}
	}
	done := make(chan []error, 1)
	go func() { done <- s.Put(t.Context(), []lease.Row{other}) }()
	p.kill(t)
	if errs := <-done; errs != nil {
		t.Errorf("a write that waited for a process that was killed: %v", errs)
	}
	if v := get(t, s, "a/1").Version; v != 1 {
		t.Errorf("version %d is left of a write that was not committed", v)
	}
}

func TestAProcessThatGoesOnAfterItWasStuckHasItsWrite(t *testing.T) {
	s, _, file := newStore(t)
	put(t, s, batch(0)...)
	p := start(t, "stuck", file)
	allow(t, p)
	p.end(t)
	if v := whole(t, s); v != 2 {
		t.Errorf("version %d; want 2", v)
	}
}
