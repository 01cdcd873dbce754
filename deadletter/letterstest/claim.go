package letterstest

import (
	"errors"
	"sync"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/backoff"
)

// between two looks at a claim that is to run out, and how long it may take after its time
const (
	look   = 10 * time.Millisecond
	atMost = 20 * time.Second
)

// untilFree claims a key again and again until it is free.
func (s *scene) untilFree(c deadletter.Claim) {
	s.Helper()
	deadline := time.Now().Add(s.claim*2 + atMost)
	for {
		err := s.store.Claim(s.Context(), c, aLongClaim)
		if err == nil {
			return
		}
		if !errors.Is(err, deadletter.ErrClaimed) {
			s.Fatalf("Claim of a key that another has: %v; want deadletter.ErrClaimed", err)
		}
		if time.Now().After(deadline) {
			s.Fatalf("a claim for %v has not run out after %v more", s.claim, s.claim+atMost)
		}
		if err := backoff.Wait(s.Context(), look); err != nil {
			s.Fatalf("%v", err)
		}
	}
}

func settleUnclaimed(s *scene) {
	l := s.letter("key", 1)
	s.park(l)
	settle := func(c deadletter.Claim, failed *deadletter.Failure) error {
		return s.store.Settle(s.Context(), c, l.ID(), failed)
	}
	c, f := s.token("key"), &deadletter.Failure{Worker: "w"}
	s.wants("Settle without a claim", settle(c, nil), deadletter.ErrNotClaimed)
	s.wants("a failure without a claim", settle(c, f), deadletter.ErrNotClaimed)
	s.take(c, aLongClaim)
	s.wants("Settle with another's token", settle(s.token("key"), nil), deadletter.ErrNotClaimed)
	s.wants("a failure with another's token", settle(s.token("key"), f), deadletter.ErrNotClaimed)
	s.wants("Settle with the claim of another key", settle(s.claimed("other", aLongClaim), nil), deadletter.ErrNoLetter)
	other := c
	other.Key = "third"
	s.wants("Settle with a claim of another key that was not made", settle(other, nil), deadletter.ErrNotClaimed)
	s.take(c, 0)
	s.wants("Settle after the claim was given back", settle(c, nil), deadletter.ErrNotClaimed)
	s.wants("Settle of a missing letter without a claim", s.store.Settle(s.Context(), c, s.letter("key", 9).ID(), nil), deadletter.ErrNotClaimed)
	s.kept(l)
	s.parking("key")
}

func claimRefused(s *scene) {
	a, b := s.token("key"), s.token("key")
	s.take(a, aLongClaim) // a key needs no letters to be claimed
	s.park(s.letters("key", 1, 2)...)
	s.wants("Claim of a key that another has", s.store.Claim(s.Context(), b, aLongClaim), deadletter.ErrClaimed)
	s.wants("giving back another's claim", s.store.Claim(s.Context(), b, 0), deadletter.ErrClaimed)
	s.settle(a, s.letter("key", 1))
	s.take(s.token("other"), aLongClaim) // another key is free
	s.settle(a, s.letter("key", 2))
	s.wants("Claim after the last letter was settled", s.store.Claim(s.Context(), b, aLongClaim), deadletter.ErrClaimed)
	s.take(a, 0)
	s.take(a, 0) // giving back twice is giving back once
	s.take(b, aLongClaim)
	s.wants("Claim by the former owner", s.store.Claim(s.Context(), a, aLongClaim), deadletter.ErrClaimed)
	s.wants("giving back after another took it", s.store.Claim(s.Context(), a, 0), deadletter.ErrClaimed)
	s.park(s.letter("key", 3))
	s.settle(b, s.letter("key", 3))
}

func claimRunsOut(s *scene) {
	l := s.letter("key", 1)
	s.park(l)
	a, b := s.token("key"), s.token("key")
	before := time.Now()
	s.take(a, s.claim)
	s.untilFree(b)
	if lasted := time.Since(before); lasted < s.claim*9/10 {
		s.Fatalf("a claim for %v was over after %v", s.claim, lasted)
	}
	s.wants("Settle after another took the claim", s.store.Settle(s.Context(), a, l.ID(), nil), deadletter.ErrNotClaimed)
	s.take(b, s.claim)
	if err := backoff.Wait(s.Context(), s.claim+s.claim/2); err != nil {
		s.Fatalf("%v", err)
	}
	s.wants("Settle after the claim ran out", s.store.Settle(s.Context(), b, l.ID(), nil), deadletter.ErrNotClaimed)
	s.wants("a failure after the claim ran out", s.store.Settle(s.Context(), b, l.ID(), &deadletter.Failure{}), deadletter.ErrNotClaimed)
	s.kept(l)
	s.take(b, aLongClaim) // nobody took it, so it can be had again
	s.settle(b, l)
}

func claimProlonged(s *scene) {
	a := s.token("key")
	s.take(a, s.claim)
	s.take(a, aLongClaim)
	if err := backoff.Wait(s.Context(), s.claim*2); err != nil {
		s.Fatalf("%v", err)
	}
	s.wants("Claim of a key whose claim was prolonged", s.store.Claim(s.Context(), s.token("key"), aLongClaim), deadletter.ErrClaimed)
	s.park(s.letter("key", 1))
	s.settle(a, s.letter("key", 1))
	s.take(a, s.claim) // and shortened
	s.untilFree(s.token("key"))
}

func claimRace(s *scene) {
	const rounds, claimers = 20, 6
	for range rounds {
		var wg sync.WaitGroup
		errs := make([]error, claimers)
		claims := make([]deadletter.Claim, claimers)
		start := make(chan struct{})
		for i := range claimers {
			claims[i] = s.token("key")
			wg.Go(func() {
				<-start
				errs[i] = s.store.Claim(s.Context(), claims[i], aLongClaim)
			})
		}
		close(start)
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				s.Fatalf("two of %d claimers got the key", claimers)
			case err == nil:
				winner = i
			case !errors.Is(err, deadletter.ErrClaimed):
				s.Fatalf("Claim while others claim: %v; want deadletter.ErrClaimed", err)
			}
		}
		if winner < 0 {
			s.Fatalf("none of %d claimers got the key", claimers)
		}
		s.take(claims[winner], 0)
	}
}
