package letterstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/backoff"
)

func ended(s *scene) {
	l := s.letter("key", 1)
	s.park(l)
	c := s.claimed("key", aLongClaim)
	ctx := s.over()
	for what, err := range map[string]error{
		"Put":                   s.store.Put(ctx, s.letters("put", 1, 2)),
		"Park that opens":       s.store.Park(ctx, s.letters("park", 1, 2), true),
		"Park":                  s.store.Park(ctx, s.letters("key", 2, 3), false),
		"Claim":                 s.store.Claim(ctx, s.token("claim"), aLongClaim),
		"Settle":                s.store.Settle(ctx, c, l.ID(), nil),
		"Settle with a failure": s.store.Settle(ctx, c, l.ID(), &deadletter.Failure{}),
		"Read":                  last(s.store.Read(ctx, deadletter.Query{Scope: s.scope})),
		"Read of nothing":       last(s.store.Read(ctx, deadletter.Query{Scope: s.scope, Key: "nothing"})),
		"Parked":                last(s.store.Parked(ctx, s.scope)),
	} {
		if err == nil || errors.Is(err, deadletter.ErrNotParked) || errors.Is(err, deadletter.ErrClaimed) || errors.Is(err, deadletter.ErrNotClaimed) || errors.Is(err, deadletter.ErrNoLetter) {
			s.Fatalf("%s with a context that is over: %v; want an error that says nothing of letters", what, err)
		}
	}
	s.kept(l)
	s.holds("key", l)
	s.holds("put")
	s.holds("park")
	s.parking("key")
}

// last is the error at the end of a listing.
func last[T any](all func(func(T, error) bool)) (err error) {
	for _, e := range all {
		err = e
	}
	return err
}

func manyParked(s *scene) {
	const n = 1_500
	want := []string{""} // records without a key have one too
	s.park(s.letter("", n))
	for i := range n {
		key := fmt.Sprintf("key %04d", i)
		want = append(want, key)
		s.park(s.letter(key, uint64(i)))
	}
	s.parking(want...)
}

// appendersAndDrainer has several append to a key that one drains: as a runner does, an appender that is refused takes its record to be the handler's, and parks the key again
// with its next one.
func appendersAndDrainer(s *scene) {
	const appenders, each = 4, 60
	var (
		c        = s.claimed("key", aLongClaim)
		accepted [appenders]map[string]bool
		drained  = map[string]int{}
		left     atomic.Int32
		refusals atomic.Int32
		wg       sync.WaitGroup
	)
	left.Store(appenders)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	for i := range appenders {
		accepted[i] = map[string]bool{}
		wg.Go(func() {
			defer left.Add(-1)
			for n := range uint64(each) {
				l := s.numbered(i, n)
				err := s.store.Park(ctx, []deadletter.Letter{l}, n%4 == 0)
				switch {
				case err == nil:
					accepted[i][l.ID()] = true
				case errors.Is(err, deadletter.ErrNotParked) && n%4 > 0:
					refusals.Add(1)
				case ctx.Err() == nil:
					s.Errorf("Park of %s while the key is drained: %v", name(l), err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		defer cancel()
		for {
			finished := left.Load() == 0 // before the look that finds nothing
			l, found := s.next(ctx)
			if !found && finished {
				return
			}
			if !found {
				_ = backoff.Wait(ctx, time.Millisecond)
				continue
			}
			// Who reads a letter that was appended finds its key parked: only settling, which nobody else does, frees it.
			if !s.isParked(ctx) {
				s.Errorf("%s is stored, but its key is not parked", name(l))
				return
			}
			if err := s.store.Settle(ctx, c, l.ID(), nil); err != nil {
				s.Errorf("Settle of %s while others append: %v", name(l), err)
				return
			}
			drained[l.ID()]++
		}
	})
	wg.Wait()
	s.holds("key")
	s.parking()
	for i := range appenders {
		for id := range accepted[i] {
			if drained[id] != 1 {
				s.Errorf("%q was appended, and redriven %d times; want once", id, drained[id])
			}
		}
		drop(drained, accepted[i])
	}
	for id := range drained {
		s.Errorf("%q was redriven, but its appender was told that the key is not parked", id)
	}
	s.settleAgainstAppend(c)
}

// drop deletes the keys of b from a.
func drop(a map[string]int, b map[string]bool) {
	for key := range b {
		delete(a, key)
	}
}

// numbered makes a letter of an appender: each has a shard of its own.
func (s *scene) numbered(appender int, n uint64) deadletter.Letter {
	l := s.letter("key", n)
	l.Shard = fmt.Sprintf("shard-%d", appender)
	return l
}

// next reads the first letter of the key.
func (s *scene) next(ctx context.Context) (deadletter.Letter, bool) {
	for l, err := range s.store.Read(ctx, deadletter.Query{Scope: s.scope, Key: "key", Limit: 1}) {
		if err != nil {
			if ctx.Err() == nil {
				s.Errorf("Read while others append: %v", err)
			}
			return deadletter.Letter{}, false
		}
		return l, true
	}
	return deadletter.Letter{}, false
}

func (s *scene) isParked(ctx context.Context) bool {
	for p, err := range s.store.Parked(ctx, s.scope) {
		if err != nil {
			s.Errorf("Parked while others append: %v", err)
			return true
		}
		if p.Key == "key" {
			return true
		}
	}
	return false
}

// settleAgainstAppend has one letter settled in the instant in which others append: each append is before it, and keeps the key parked, or after it, and is refused.
func (s *scene) settleAgainstAppend(c deadletter.Claim) {
	const rounds, appenders = 40, 3
	for round := range uint64(rounds) {
		first := s.letter("key", 1_000+round)
		s.park(first)
		var (
			wg      sync.WaitGroup
			errs    [appenders]error
			settled error
			start   = make(chan struct{})
			want    []string
		)
		for i := range appenders {
			wg.Go(func() {
				<-start
				errs[i] = s.store.Park(s.Context(), []deadletter.Letter{s.numbered(i, 1_000+round)}, false)
			})
		}
		wg.Go(func() {
			<-start
			settled = s.store.Settle(s.Context(), c, first.ID(), nil)
		})
		close(start)
		wg.Wait()
		if settled != nil {
			s.Fatalf("Settle while others append: %v", settled)
		}
		for i, err := range errs {
			if err == nil {
				want = append(want, s.numbered(i, 1_000+round).ID())
			} else if !errors.Is(err, deadletter.ErrNotParked) {
				s.Fatalf("Park while the last letter is settled: %v; want nil or deadletter.ErrNotParked", err)
			}
		}
		var got []string
		for _, l := range s.of("key") {
			got = append(got, l.ID())
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			s.Fatalf("after the last letter was settled while others appended, %q are stored; the appenders were told that %q are", got, want)
		}
		if parked := len(s.parked(s.scope)) > 0; parked != (len(want) > 0) {
			s.Fatalf("after the last letter was settled while others appended, %d letters are stored and the key is parked: %t", len(want), parked)
		}
		for _, l := range s.of("key") {
			s.settle(c, l)
		}
	}
}

// manyWriters has several store the same letters and their own at once.
func manyWriters(s *scene) {
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range uint64(each) {
				own := s.numbered(i, n)
				shared := s.letter("shared", n)
				err := errors.Join(s.store.Put(s.Context(), []deadletter.Letter{own}), s.store.Park(s.Context(), []deadletter.Letter{shared}, true))
				if err != nil {
					s.Errorf("Put and Park while others store: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	own, shared := s.of("key"), s.of("shared")
	if len(own) != writers*each || len(shared) != each {
		s.Fatalf("%d letters of several writers and %d that all of them stored are there; want %d and %d", len(own), len(shared), writers*each, each)
	}
	s.rising(own)
	s.rising(shared)
	places := map[string]checkpoint.Position{} // by writer
	for _, l := range own {
		if before, there := places[l.Shard]; there && !before.Before(l.Position) {
			s.Fatalf("%s comes after %s, in another order than its writer's", name(l), before)
		}
		places[l.Shard] = l.Position
	}
	if p := s.parked(s.scope); len(p) != 1 || p[0].Key != "shared" || p[0].Letters != each {
		s.Fatalf("the parkings are %+v; want one of %q with %d letters", p, "shared", each)
	}
}
