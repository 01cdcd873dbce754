package memsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
)

// Op is a call of a [Source] or of its readers.
type Op string

// The calls that a [Fault] can hit.
const (
	OpStream Op = "Stream"
	OpShards Op = "Shards"
	OpPin    Op = "Pin"
	OpOpen   Op = "Open"
	OpNext   Op = "Next"
)

// ErrThrottled is wrapped by the error of a call that was throttled for longer than a source stays silent.
var ErrThrottled = errors.New("memsource: throttled")

// Fault is something that goes wrong. Each of its effects is off at its zero value.
type Fault struct {
	Op    Op     // the calls that it hits; "": all
	Shard string // the shard whose calls it hits; "": all, and calls that are not about one shard
	Times int    // how many calls it changes; 0: all until it is lifted

	Err      error         // the call fails with it
	Throttle bool          // the call is refused. The source tries again with back-off and fails with ErrThrottled after 5 s
	Hang     bool          // the call waits until its ctx ends
	Delay    time.Duration // the call takes so much longer
	Expire   bool          // OpNext: the iterator has expired. The reader opens the shard again, after the last record that it gave
	Short    int           // OpNext: the page holds at most so many records
	// Hide tells which shards are not named. OpShards: by the listing. OpNext: by the children of a shard's last page.
	Hide func(shard string) bool
}

// HideAll is a [Fault.Hide] for all shards.
func HideAll(string) bool { return true }

// Inject makes calls go wrong until the fault is spent or lifted. Of several faults that make a call fail the oldest does; delays add up.
func (s *Source) Inject(f Fault) (lift func()) {
	fault := &f
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(g *Fault) bool { return g == fault })
	}
}

func (f *Fault) hits(op Op, shard string) bool {
	return (f.Op == "" || f.Op == op) && (f.Shard == "" || f.Shard == shard)
}

// fails tells whether a call that f hits is not answered.
func (f *Fault) fails(op Op) bool {
	return f.Err != nil || f.Throttle || f.Hang || f.Expire && op == OpNext
}

// spend counts a call that f changed. The caller holds mu.
func (s *Source) spend(f *Fault) {
	if f.Times == 0 {
		return
	}
	if f.Times--; f.Times == 0 {
		s.faults = slices.DeleteFunc(s.faults, func(g *Fault) bool { return g == f })
	}
}

// meet is what one call meets: how long it takes, and the fault that makes it fail.
func (s *Source) meet(op Op, shard string) (delay time.Duration, failure *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Clone(s.faults) {
		if !f.hits(op, shard) {
			continue
		}
		fails := f.fails(op)
		if fails && failure != nil || !fails && f.Delay <= 0 {
			continue
		}
		delay += f.Delay
		if fails {
			failure = f
		}
		s.spend(f)
	}
	return delay, failure
}

// patience is how long a call is tried again before its error is told.
const patience = 5 * time.Second

var pause = backoff.Policy{Base: 100 * time.Millisecond, Cap: time.Second}

// errExpired tells a reader that its iterator has expired.
var errExpired = errors.New("memsource: expired iterator")

// call does what faults do to a call before it is answered.
func (s *Source) call(ctx context.Context, op Op, shard string) error {
	began := time.Now()
	for n := 1; ; n++ {
		delay, f := s.meet(op, shard)
		if err := backoff.Wait(ctx, delay); err != nil {
			return err
		}
		switch {
		case f == nil:
			return nil
		case f.Err != nil:
			return s.failed(op, shard, f.Err)
		case f.Hang:
			<-ctx.Done()
			return context.Cause(ctx)
		case f.Expire && op == OpNext:
			return errExpired
		case time.Since(began) > patience:
			return s.failed(op, shard, ErrThrottled)
		}
		if err := backoff.Wait(ctx, pause.Delay(n)); err != nil {
			return err
		}
	}
}

func (s *Source) failed(op Op, shard string, err error) error {
	if shard == "" {
		return fmt.Errorf("memsource: %s of stream %s: %w", op, s.name, err)
	}
	return fmt.Errorf("memsource: %s of shard %s of stream %s: %w", op, shard, s.name, err)
}

// short is how many of n records a page may hold. The caller holds mu.
func (s *Source) short(shard string, n int) int {
	for _, f := range s.faults {
		if f.hits(OpNext, shard) && f.Short > 0 && f.Short < n {
			s.spend(f)
			return f.Short
		}
	}
	return n
}

// hide leaves out of a list the shards that a fault hides. The caller holds mu.
func (s *Source) hide(op Op, shard string, list []consumer.Shard) []consumer.Shard {
	for _, f := range slices.Clone(s.faults) {
		if !f.hits(op, shard) || f.Hide == nil {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(list), func(sh consumer.Shard) bool { return f.Hide(sh.ID) })
		if len(left) < len(list) {
			s.spend(f)
			list = left
		}
	}
	return list
}
