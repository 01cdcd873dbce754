package main

import (
	"errors"
	"io"
	"testing"

	"github.com/runnelhq/runnel/consumer"
)

// A lost vote ends the run, also when other programs' records keep coming on its stream.
func TestWatchEndsWhenNoVoteComes(t *testing.T) {
	s := newScene(t, 300)
	one := s.owner("worker-1", 1)
	producer := &producer{election: s.run.election}
	w, err := newWatch(t.Context(), s.run, newCrew(s.run, options{}), producer, &board{out: io.Discard}, false)
	if err != nil {
		t.Fatal(err)
	}
	look := func() error {
		t.Helper()
		all, err := w.look(t.Context(), true)
		if all {
			t.Error("299 of 300 votes are said to be all")
		}
		return err
	}
	s.apply(one, s.batch(1, 1, 100))
	if err := look(); err != nil {
		t.Fatal(err)
	}

	w.moved = w.moved.Add(-2 * stalled)
	s.apply(one, s.batch(1, 102, 300))
	if err := look(); err != nil {
		t.Errorf("after votes that were applied: %v", err)
	}

	w.moved = w.moved.Add(-2 * stalled)
	s.apply(one, []consumer.Record{s.record(301, 1)})
	if err := look(); !errors.Is(err, errStalled) {
		t.Errorf("after a record of another program: %v, want errStalled", err)
	}
}
