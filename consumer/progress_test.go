package consumer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

func at(n uint64) checkpoint.Position { return checkpoint.Offset(n) }

func TestProgressWritesTheNewestPositionOnce(t *testing.T) {
	g := newProgress(checkpoint.EveryN(3), checkpoint.Position{}, newAsked())
	for i := range uint64(5) {
		g.done(at(i), 1, 10)
	}
	p, n, wait := g.begin(time.Now())
	if p != at(4) || n != 5 || wait != 0 {
		t.Fatalf("the write covers %s, %d records, in %v", p, n, wait)
	}
	g.done(at(5), 1, 10)
	g.end(p)
	if _, _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Errorf("another write is due in %v, want never", wait)
	}
}

func TestProgressMovesWithoutRecords(t *testing.T) {
	g := newProgress(checkpoint.Every(time.Second), at(3), newAsked())
	g.done(at(3), 0, 0)
	if _, _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Errorf("nothing moved, and a write is due in %v", wait)
	}
	g.done(at(9), 0, 0)
	if p, _, wait := g.begin(time.Now().Add(2 * time.Second)); p != at(9) || wait != 0 {
		t.Errorf("the position moved to 9: a write of %s is due in %v", p, wait)
	}
}

func TestProgressAHandlerAsks(t *testing.T) {
	g := newProgress(checkpoint.Manual{}, checkpoint.Position{}, newAsked())
	r := Record{Position: at(2), ask: g.ask}
	r.Checkpoint()
	g.done(at(1), 1, 1)
	if _, _, wait := g.begin(time.Now()); wait != checkpoint.Never {
		t.Fatalf("2 was asked for and 1 is done: a write is due in %v", wait)
	}
	g.done(at(2), 1, 1)
	p, _, wait := g.begin(time.Now())
	if p != at(2) || wait != 0 {
		t.Fatalf("2 was asked for and is done: %s is due in %v", p, wait)
	}
	g.end(p)
	g.done(at(3), 1, 1)
	if _, _, wait := g.begin(time.Now()); wait != checkpoint.Never {
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
		{window(2), 2}, // a strategy that never writes on its own account does not block for ever
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newProgress(c.s, checkpoint.Position{}, newAsked())
			stop := make(chan struct{})
			var admitted uint64
			over := spawn(func() {
				for g.admit(t.Context(), stop) {
					admitted++
					g.done(at(admitted), 1, 1)
				}
			})
			synctest.Wait()
			if admitted != c.before {
				t.Errorf("%v: %d records were handed out before anything was stored, want %d", c.s, admitted, c.before)
			}
			p, _, wait := g.begin(time.Now())
			if wait != 0 {
				t.Errorf("%v: the window is full and a write is due in %v", c.s, wait)
			}
			g.end(p)
			synctest.Wait()
			if admitted != 2*c.before {
				t.Errorf("%v: after the write %d were handed out, want %d", c.s, admitted, 2*c.before)
			}
			close(stop)
			<-over
		})
	}
}

type window int

func (window) Due(checkpoint.Progress) time.Duration { return checkpoint.Never }
func (w window) Window() int                         { return int(w) }

func TestProgressAdmitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newProgress(checkpoint.Manual{}, checkpoint.Position{}, newAsked())
	if g.admit(ctx, nil) {
		t.Error("a record was admitted after the end of its context")
	}
}
