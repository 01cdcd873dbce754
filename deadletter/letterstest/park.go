package letterstest

import (
	"fmt"
	"time"

	"github.com/runnelhq/runnel/deadletter"
)

func putParksNothing(s *scene) {
	s.put(s.letters("key", 1, 3)...)
	s.parking()
	s.refused(s.letter("key", 4))
	s.holds("key", s.letters("key", 1, 3)...)
	c := s.claimed("key", aLongClaim)
	for _, l := range s.of("key") {
		s.settle(c, l)
	}
	s.parking()
	s.holds("key")
}

func parkOpens(s *scene) {
	before := time.Now()
	s.put(s.letter("key", 1)) // it is there when the key is parked, and is redriven with the rest
	s.park(s.letter("key", 2))
	s.parking("key")
	since := s.parked(s.scope)[0].Since
	earliest, latest := s.letter("key", 2).First, s.letter("key", 2).First
	if before.Before(earliest) {
		earliest = before
	}
	if now := time.Now(); now.After(latest) {
		latest = now
	}
	earliest, latest = earliest.Add(-time.Hour), latest.Add(time.Hour) // the store has a clock of its own
	if since.Before(earliest) || since.After(latest) {
		s.Fatalf("the key is parked since %v; want the store's time, about %v, or the letter's, %v", since, before, s.letter("key", 2).Failed)
	}
	s.follow(s.letter("key", 3), s.letter("key", 4))
	s.park(s.letter("key", 5)) // it is parked
	s.put(s.letter("key", 6))
	s.holds("key", s.letters("key", 1, 6)...)
	s.park(s.letter("other", 1))
	s.parking("key", "other")
	for _, p := range s.parked(s.scope) {
		want := map[string]int{"key": 6, "other": 1}[p.Key]
		if p.Letters != want || p.Scope != s.scope {
			s.Fatalf("the parking of %q has %d letters, scope %q; want %d, scope %q", p.Key, p.Letters, p.Scope, want, s.scope)
		}
		if p.Key == "key" && !sameTime(p.Since, since) {
			s.Fatalf("the key is parked since %v after it was parked again; want %v as before", p.Since, since)
		}
	}
}

func parkRefuses(s *scene) {
	s.refused(s.letters("key", 1, 2)...)
	s.holds("key")
	s.parking()
	s.park(s.letter("other", 1)) // which parks no other key
	s.refused(s.letter("key", 1))
	s.put(s.letter("key", 1))
	s.refused(s.letter("key", 1)) // also if it is stored
	s.refused(s.letter("key", 2))
	s.holds("key", s.letter("key", 1))
	s.parking("other")
}

func parkMixed(s *scene) {
	s.park(s.letter("a", 1))
	for _, open := range []bool{true, false} {
		if err := s.store.Park(s.Context(), []deadletter.Letter{s.letter("a", 2), s.letter("b", 2)}, open); err == nil {
			s.Fatalf("Park of letters of two keys succeeded; want an error")
		}
		foreign := s.letter("a", 3)
		foreign.App += "-other"
		if err := s.store.Park(s.Context(), []deadletter.Letter{s.letter("a", 2), foreign}, open); err == nil {
			s.Fatalf("Park of letters of two scopes succeeded; want an error")
		}
	}
	s.holds("a", s.letter("a", 1))
	s.holds("b")
	s.parking("a")
}

// parkElsewhere is of a key function that changed between two runs. A key without letters would be parked for as long as nobody parks it again.
func parkElsewhere(s *scene) {
	l := s.letter("old", 1)
	s.put(l)
	moved := l
	moved.Key = "new"
	s.park(moved)
	s.holds("new")
	s.holds("old", l)
	s.parking()
	s.refused(s.letter("new", 2))
}

// parkElsewhereClaimed is parkElsewhere while a redrive has the key, so that a store knows of the key without any letter of it.
func parkElsewhereClaimed(s *scene) {
	l := s.letter("old", 1)
	s.put(l)
	moved := l
	moved.Key = "new"
	c := s.claimed("new", aLongClaim)
	s.park(moved)
	s.parking()
	s.refused(s.letter("new", 2))
	s.take(c, 0)
	s.parking()
	s.holds("new")
	s.holds("old", l)
}

func settleUnparks(s *scene) {
	c := s.claimed("key", aLongClaim)
	for range 3 {
		s.park(s.letter("key", 1))
		s.follow(s.letters("key", 2, 3)...)
		s.settle(c, s.letter("key", 1))
		s.parking("key")
		s.settle(c, s.letter("key", 3)) // in any order
		s.parking("key")
		if p := s.parked(s.scope)[0]; p.Letters != 1 {
			s.Fatalf("the parking has %d letters after two of three were settled; want 1", p.Letters)
		}
		s.follow(s.letter("key", 4))
		s.settle(c, s.letter("key", 2))
		s.parking("key")
		s.settle(c, s.letter("key", 4))
		s.parking()
		s.refused(s.letter("key", 5))
		s.holds("key")
	}
}

func failuresAreKept(s *scene) {
	l := s.letter("key", 1)
	s.park(l)
	c := s.claimed("key", aLongClaim)
	at := time.Date(2026, 5, 6, 7, 8, 9, 123456000, time.FixedZone("", 3600))
	for n := range 5 {
		f := deadletter.Failure{At: at.Add(time.Duration(n) * time.Minute), Worker: fmt.Sprintf("worker-%d", n), Errors: []string{fmt.Sprintf("failure %d", n), "root"}}
		s.fail(c, l, f)
		l.History = append(l.History, f)
		s.kept(l)
	}
	s.fail(c, l, deadletter.Failure{})
	l.History = append(l.History, deadletter.Failure{})
	s.kept(l)
	s.parking("key")
	s.put(s.letter("plain", 1))
	s.fail(s.claimed("plain", aLongClaim), s.letter("plain", 1), l.History[0])
	s.parking("key")
	s.refused(s.letter("plain", 2))
}

func settleMissing(s *scene) {
	s.park(s.letter("key", 1))
	s.put(s.letter("other", 1))
	c := s.claimed("key", aLongClaim)
	f := &deadletter.Failure{Worker: "w"}
	for _, failed := range []*deadletter.Failure{nil, f} {
		s.wants("Settle of a letter that was never stored", s.store.Settle(s.Context(), c, s.letter("key", 2).ID(), failed), deadletter.ErrNoLetter)
		s.wants("Settle of another key's letter", s.store.Settle(s.Context(), c, s.letter("other", 1).ID(), failed), deadletter.ErrNoLetter)
	}
	s.parking("key")
	s.kept(s.letter("other", 1))
	s.settle(c, s.letter("key", 1))
	s.wants("Settle of a letter that was settled", s.store.Settle(s.Context(), c, s.letter("key", 1).ID(), nil), deadletter.ErrNoLetter)
	s.wants("a failure of a letter that was settled", s.store.Settle(s.Context(), c, s.letter("key", 1).ID(), f), deadletter.ErrNoLetter)
	s.holds("key")
	s.parking()
}
