package consumer

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

func at(n uint64) checkpoint.Position { return checkpoint.Offset(n) }

func TestProgressWritesOnceForAll(t *testing.T) {
	g := newProgress(checkpoint.EveryN(3), checkpoint.Position{}, newAsked())
	for i := range uint64(5) {
		g.done(at(i), 1, 10)
	}
	n, wait := g.begin(time.Now())
	if n != 5 || wait != 0 {
		t.Fatalf("the write covers %d records, in %v", n, wait)
	}
	g.done(at(5), 1, 10)
	g.end(at(4))
	if _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Errorf("another write is due in %v, want never", wait)
	}
}

func TestProgressMovesWithoutRecords(t *testing.T) {
	g := newProgress(checkpoint.Every(time.Second), at(3), newAsked())
	g.done(at(3), 0, 0)
	if _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Errorf("nothing moved, and a write is due in %v", wait)
	}
	g.done(at(9), 0, 0)
	if n, wait := g.begin(time.Now().Add(2 * time.Second)); n != 1 || wait != 0 {
		t.Errorf("the position moved to 9: a write of %d is due in %v", n, wait)
	}
}

func TestProgressCountsWhatIsDoneAboveTheWatermark(t *testing.T) {
	g := newProgress(checkpoint.EveryN(2), at(3), newAsked())
	g.done(at(3), 1, 10)
	g.done(at(3), 1, 10)
	if n, wait := g.begin(time.Now()); n != 2 || wait != 0 {
		t.Errorf("two records are done behind one that is not: a write of %d is due in %v", n, wait)
	}
}

func TestProgressAHandlerAsks(t *testing.T) {
	g := newProgress(checkpoint.Manual{}, checkpoint.Position{}, newAsked())
	r := Record{Position: at(2), in: &window{r: &runner{progress: g}}}
	r.Checkpoint()
	g.done(at(1), 1, 1)
	if _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Fatalf("2 was asked for and 1 is done: a write is due in %v", wait)
	}
	g.done(at(2), 1, 1)
	if _, wait := g.begin(time.Now()); wait != 0 {
		t.Fatalf("2 was asked for and is done: it is due in %v", wait)
	}
	g.end(at(2))
	g.done(at(3), 1, 1)
	if _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Errorf("nothing more was asked for: a write is due in %v", wait)
	}
	Record{Position: at(2)}.Checkpoint() // of no consumer: nothing happens
}

// Invariant 9: the window of a strategy bounds what is done and not stored.
func TestProgressWindowHoldsRecordsBack(t *testing.T) {
	for _, c := range []struct {
		s      checkpoint.Strategy
		before uint64 // records that may be done while nothing is stored
	}{
		{checkpoint.EveryRecord{}, 1},
		{checkpoint.EveryN(3), 6},
		{atMost(2), 2}, // a strategy that never writes on its own account does not block for ever
	} {
		g := newProgress(c.s, checkpoint.Position{}, newAsked())
		var admitted uint64
		handOut := func() {
			for g.open() {
				admitted++
				g.done(at(admitted), 1, 1)
			}
		}
		handOut()
		if admitted != c.before {
			t.Errorf("%v: %d records were handed out before anything was stored, want %d", c.s, admitted, c.before)
		}
		if _, wait := g.begin(time.Now()); wait != 0 {
			t.Errorf("%v: the window is full and a write is due in %v", c.s, wait)
		}
		g.end(at(admitted))
		handOut()
		if admitted != 2*c.before {
			t.Errorf("%v: after the write %d were handed out, want %d", c.s, admitted, 2*c.before)
		}
	}
}

type atMost int

func (atMost) Due(checkpoint.Progress) time.Duration { return checkpoint.Never }
func (w atMost) Window() int                         { return int(w) }
