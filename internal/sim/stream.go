package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// stream is a service with shards that split and merge. A record is an ordinal of its shard: the n-th arrives after n+1 intervals.
type stream struct {
	w      *world
	shards []*shard // parents first
	byID   map[string]*shard
	ceased time.Duration // no record arrives from here on
}

type shard struct {
	id       string
	number   uint64
	keys     []string // of its records; the first ones have the most
	parents  []*shard
	children []*shard
	born     time.Duration
	closed   time.Duration // 0: it is open
	every    time.Duration
	gone     bool // the service no longer knows it
}

func newStream(w *world) *stream {
	s := &stream{w: w, byID: make(map[string]*shard), ceased: w.plan.calm + w.plan.quiet()/3}
	for range w.plan.shards {
		born := -w.between(0, 8*w.timing.Expiry)
		var parents []*shard
		switch w.dice.IntN(6) {
		case 0: // its parent is closed
			parents = []*shard{s.add(born - w.between(0, w.timing.Expiry))}
			parents[0].closed = born
		case 1: // its parent is long gone
			parents = []*shard{s.add(born - w.timing.Expiry)}
			parents[0].closed, parents[0].gone = born, true
		}
		s.add(born, parents...)
	}
	return s
}

func (s *stream) add(born time.Duration, parents ...*shard) *shard {
	id := fmt.Sprintf("shard-%03d", len(s.shards))
	k := &shard{id: id, number: uint64(len(s.shards)), parents: parents, born: born, every: s.w.between(s.w.timing.Expiry/5, s.w.timing.Expiry)}
	s.shards = append(s.shards, k)
	s.byID[id] = k
	for _, p := range parents {
		p.children = append(p.children, k)
		for i, key := range p.keys {
			if i%2 == len(p.children)%2 || p.closed == 0 || len(parents) == 2 { // of a split each child has every other key
				k.keys = append(k.keys, key)
			}
		}
	}
	for i := len(k.keys); i < 4; i++ {
		k.keys = append(k.keys, fmt.Sprintf("%s-%d", id, i))
	}
	return k
}

// arrived is how many records of a shard had arrived before an instant.
func (s *stream) arrived(k *shard, t time.Duration) int {
	t = min(t, s.ceased)
	if k.closed != 0 {
		t = min(t, k.closed)
	}
	return max(0, int((t-k.born-1)/k.every))
}

// next is when the n-th record arrives, false if it never does.
func (s *stream) next(k *shard, n int) (time.Duration, bool) {
	t := k.born + time.Duration(n+1)*k.every
	if t >= s.ceased || k.closed != 0 && t >= k.closed {
		return 0, false
	}
	return t + 1, true
}

// reshard splits a shard or merges two.
func (s *stream) reshard() {
	var opened []*shard
	for _, k := range s.shards {
		if k.closed == 0 && s.w.now > k.born+s.w.timing.Poll {
			opened = append(opened, k)
		}
	}
	s.w.dice.Shuffle(len(opened), func(i, j int) { opened[i], opened[j] = opened[j], opened[i] })
	if merge := s.w.chance(0.5); merge && len(opened) > 3 {
		a, b := opened[0], opened[1]
		a.closed, b.closed = s.w.now, s.w.now
		c := s.add(s.w.now, a, b)
		s.w.counts.add("merge")
		s.w.trace.say("", "MERGE", "%s and %s to %s", a.id, b.id, c.id)
	} else if !merge && len(opened) > 0 && len(opened) < most {
		a := opened[0]
		a.closed = s.w.now
		b, c := s.add(s.w.now, a), s.add(s.w.now, a)
		s.w.counts.add("split")
		s.w.trace.say("", "SPLIT", "%s to %s and %s", a.id, b.id, c.id)
	}
}

// forget has the service no longer know shards that were read to their end, parents before their children.
func (s *stream) forget() {
	for _, k := range s.shards {
		if slices.ContainsFunc(k.parents, func(p *shard) bool { return !p.gone }) {
			continue
		}
		if la := s.w.audit.leases[k.id]; !k.gone && la != nil && la.ended && s.w.chance(0.5) {
			k.gone = true
			s.w.counts.add("shard forgotten by the service")
			s.w.trace.say("", "FORGET", "%s", k.id)
		}
	}
}

func (k *shard) listed() lease.Shard {
	l := lease.Shard{ID: k.id, Closed: k.closed != 0}
	for _, p := range k.parents {
		l.Parents = append(l.Parents, p.id)
	}
	return l
}

var errService = errors.New("the service fails")

// ask has a question to the service take time, and fail.
func (s *stream) ask(ctx context.Context, p *process) error {
	w := s.w
	d := w.between(5*time.Millisecond, 50*time.Millisecond)
	fails := w.weather.strikes(w.weather.silent)
	if fails {
		w.counts.add("service that fails")
		d = w.between(0, 4*w.timing.Expiry)
	}
	if err := p.Wait(ctx, d); err != nil {
		return err
	}
	if fails {
		return errService
	}
	return nil
}

// list is what a process is told of the shards.
func (s *stream) list(p *process) func(context.Context) iter.Seq2[lease.Shard, error] {
	return func(ctx context.Context) iter.Seq2[lease.Shard, error] {
		return func(yield func(lease.Shard, error) bool) {
			failed := s.ask(ctx, p)
			partial := failed != nil || s.w.weather.strikes(s.w.weather.partial)
			if partial {
				s.w.counts.add("partial listing of shards")
			}
			for _, k := range slices.Clone(s.shards) {
				if k.gone || partial && s.w.chance(0.3) {
					continue
				}
				if !yield(k.listed(), nil) {
					return
				}
			}
			if failed != nil {
				yield(lease.Shard{}, failed)
			}
		}
	}
}

// instant is a true time as the service's clock says it.
func instant(t time.Duration) time.Time { return epoch.Add(t) }

func (s *stream) pin(p *process) func(context.Context, checkpoint.Start) (checkpoint.Start, error) {
	return func(ctx context.Context, _ checkpoint.Start) (checkpoint.Start, error) {
		if err := s.ask(ctx, p); err != nil {
			return checkpoint.Start{}, err
		}
		return checkpoint.AtTime(instant(s.w.now)), nil
	}
}

func (s *stream) isGone(p *process) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, id string) (bool, error) {
		if err := s.ask(ctx, p); err != nil {
			return false, err
		}
		k := s.byID[id]
		return k == nil || k.gone, nil
	}
}

// first is the ordinal at which a start begins.
func (s *stream) first(k *shard, at checkpoint.Start) int {
	switch at.Kind() {
	case checkpoint.StartAfter:
		n, _ := at.Position().Offset()
		return int(n) + 1
	case checkpoint.StartAtTime:
		return s.arrived(k, at.Time().Sub(epoch))
	}
	return 0
}
