package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

func TestDirectoryRefusesAnotherRun(t *testing.T) {
	dir := t.TempDir()
	first, err := resumeRun(t.Context(), options{dir: dir, records: 300, seed: 7, leases: "leases"})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.enrol(t.Context(), prepared(t, first)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.db.ExecContext(t.Context(), `INSERT INTO boxes (name, incarnation) VALUES ('a second', 'one')`); err != nil {
		t.Fatal(err)
	}
	if err := first.db.Close(); err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{"seed": true, "records": true}
	_, err = resumeRun(t.Context(), options{dir: dir, records: 200, seed: 8, kinesis: "votes", given: given})
	if err == nil {
		t.Fatal("another run was taken for this one")
	}
	for _, want := range []string{
		dir + " holds a run with -seed 7, and not 8",
		"-records 300, and not 200",
		"its votes in files, and not kinesis:votes",
		`-leases "leases", and not ""`,
		"another -dir",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %q", want, err)
		}
	}

	// What is not given is taken from the directory.
	again, err := resumeRun(t.Context(), options{dir: dir, records: 100_000, seed: 1, leases: "leases"})
	if err != nil {
		t.Fatal(err)
	}
	if again.election != first.election {
		t.Errorf("the run goes on as %+v, and was %+v", again.election, first.election)
	}
	if err := again.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A start that failed before anything was cast leaves nothing to contradict.
func TestDirectoryForgetsAFailedStart(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []options{
		{dir: dir, records: 300, seed: 7, kinesis: "mispelt"},
		{dir: dir, records: 200, seed: 8, given: map[string]bool{"seed": true, "records": true}},
	} {
		r, err := resumeRun(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Seed != o.seed || r.Records != o.records {
			t.Errorf("the run is %+v, not that of %+v", r.election, o)
		}
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A stream that was made anew does not have the votes that were cast.
func TestDirectoryRefusesAnotherStream(t *testing.T) {
	s := newScene(t, 10)
	b := prepared(t, s.run)
	for range 2 {
		if err := s.run.enrol(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := s.run.enrol(t.Context(), prepared(t, s.run)); err == nil || !strings.Contains(err.Error(), "was made anew since this run began") {
		t.Errorf("another directory of votes was taken for the run's: %v", err)
	}
}

func prepared(t *testing.T, r *run) *fileBox {
	t.Helper()
	b := newFileBox(r.dir)
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDirectoryIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	release, err := hold(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another quickstart works in "+dir) {
		t.Errorf("a second holder got %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = hold(t.Context(), dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

// An interrupted producer goes on where the files end, which may be at different votes, and in the middle of a line.
func TestProducerGoesOn(t *testing.T) {
	e := election{Run: "r", Seed: 1, Records: 3_000}
	whole, torn := newFileBox(t.TempDir()), newFileBox(t.TempDir())
	cast(t, whole, e)
	cast(t, torn, e)
	want := contents(t, whole)
	for i, keep := range []int{0, 1, 20_000, 30_001} {
		if err := os.Truncate(torn.path(i), int64(keep)); err != nil {
			t.Fatal(err)
		}
	}
	if p := cast(t, torn, e); p.put.Load() != 3_000 {
		t.Errorf("%d votes are said to be there, want 3000", p.put.Load())
	}
	for i, got := range contents(t, torn) {
		if !bytes.Equal(got, want[i]) {
			t.Errorf("file %d has %d bytes and should have %d, or they differ", i, len(got), len(want[i]))
		}
	}
}

func TestProducerRefusesOtherVotes(t *testing.T) {
	b := newFileBox(t.TempDir())
	cast(t, b, election{Run: "one", Seed: 1, Records: 100})
	p := &producer{election: election{Run: "two", Seed: 1, Records: 100}, boxes: []box{b}}
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "give another -dir") {
		t.Errorf("votes of another run were taken for this one's: %v", err)
	}
}

func TestProducerEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := newFileBox(t.TempDir())
	if err := b.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	p := &producer{election: election{Run: "r", Seed: 1, Records: 100}, boxes: []box{b}, over: 1e15}
	if err := p.run(ctx); err == nil {
		t.Error("votes that are due in days were cast at once")
	}
}

func cast(t *testing.T, b box, e election) *producer {
	t.Helper()
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := &producer{election: e, boxes: []box{b}}
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func contents(t *testing.T, b *fileBox) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range fileShards {
		data, err := os.ReadFile(b.path(i))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}
