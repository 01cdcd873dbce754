package letterstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

// aLongClaim is one that does not run out while a case works.
const aLongClaim = time.Hour

// scene is a case under way: a store, and a scope that nobody else has.
type scene struct {
	tb

	store   deadletter.Store
	scope   deadletter.Scope
	claim   time.Duration // the shortest
	payload int           // bytes of the largest
}

func newScene(t tb, store deadletter.Store, claim time.Duration, payload int) *scene {
	return &scene{tb: t, store: store, scope: deadletter.Scope{App: "letterstest-" + rand.Text(), Stream: "orders:2026-01-02"}, claim: claim, payload: payload}
}

// letter makes the n-th letter of a key.
func (s *scene) letter(key string, n uint64) deadletter.Letter {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC).Add(time.Duration(n) * time.Second)
	return deadletter.Letter{
		Scope: s.scope, Shard: "shard " + key, Position: checkpoint.Offset(n), Generation: 1, Epoch: 7, Key: key, Arrived: at,
		Payload: fmt.Appendf(nil, "record %d of %s", n, key), Reason: deadletter.Attempts, Attempts: 3, Errors: []string{"it failed"}, Failed: at, First: at, Worker: "worker-a",
	}
}

// letters makes those of a key from a number to another, both included.
func (s *scene) letters(key string, from, to uint64) (ls []deadletter.Letter) {
	for n := from; n <= to; n++ {
		ls = append(ls, s.letter(key, n))
	}
	return ls
}

func (s *scene) put(ls ...deadletter.Letter) {
	s.Helper()
	if err := s.store.Put(s.Context(), ls); err != nil {
		s.Fatalf("Put of %s: %v", names(ls), err)
	}
}

// park parks the key of letters with them.
func (s *scene) park(ls ...deadletter.Letter) {
	s.Helper()
	if err := s.store.Park(s.Context(), ls, true); err != nil {
		s.Fatalf("Park of %s that opens: %v", names(ls), err)
	}
}

// follow appends letters to a parked key.
func (s *scene) follow(ls ...deadletter.Letter) {
	s.Helper()
	if err := s.store.Park(s.Context(), ls, false); err != nil {
		s.Fatalf("Park of %s to a parked key: %v", names(ls), err)
	}
}

// refused wants letters not to be appended.
func (s *scene) refused(ls ...deadletter.Letter) {
	s.Helper()
	if err := s.store.Park(s.Context(), ls, false); !errors.Is(err, deadletter.ErrNotParked) {
		s.Fatalf("Park of %s to a key that is not parked: %v; want deadletter.ErrNotParked", names(ls), err)
	}
}

// read reads to the end.
func (s *scene) read(q deadletter.Query) (ls []deadletter.Letter) {
	s.Helper()
	for l, err := range s.store.Read(s.Context(), q) {
		if err != nil {
			s.Fatalf("Read of %+v, after %d letters: %v", q, len(ls), err)
		}
		ls = append(ls, l)
	}
	return ls
}

// of reads the letters of a key.
func (s *scene) of(key string) []deadletter.Letter {
	s.Helper()
	return s.read(deadletter.Query{Scope: s.scope, Key: key, Keyed: true})
}

// holds wants the letters of a key to be these, in this order.
func (s *scene) holds(key string, want ...deadletter.Letter) {
	s.Helper()
	if got := s.of(key); names(got) != names(want) {
		s.Fatalf("the letters of %.80q are %s; want %s", key, names(got), names(want))
	}
}

// parked lists the parkings of a scope.
func (s *scene) parked(scope deadletter.Scope) (all []deadletter.Parking) {
	s.Helper()
	for p, err := range s.store.Parked(s.Context(), scope) {
		if err != nil {
			s.Fatalf("Parked, after %d keys: %v", len(all), err)
		}
		all = append(all, p)
	}
	return all
}

// parking wants the parked keys of the scope to be these, in any order.
func (s *scene) parking(want ...string) {
	s.Helper()
	var got []string
	for _, p := range s.parked(s.scope) {
		got = append(got, p.Key)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Fatalf("the parked keys are %.200q; want %.200q", got, want)
	}
}

// token makes a claim that nobody has.
func (s *scene) token(key string) deadletter.Claim {
	return deadletter.Claim{Scope: s.scope, Key: key, Token: rand.Text()}
}

// claimed takes a key.
func (s *scene) claimed(key string, d time.Duration) deadletter.Claim {
	s.Helper()
	c := s.token(key)
	s.take(c, d)
	return c
}

func (s *scene) take(c deadletter.Claim, d time.Duration) {
	s.Helper()
	if err := s.store.Claim(s.Context(), c, d); err != nil {
		s.Fatalf("Claim of %.80q for %v: %v", c.Key, d, err)
	}
}

func (s *scene) settle(c deadletter.Claim, l deadletter.Letter) {
	s.Helper()
	if err := s.store.Settle(s.Context(), c, l.ID(), nil); err != nil {
		s.Fatalf("Settle of %s: %v", name(l), err)
	}
}

func (s *scene) fail(c deadletter.Claim, l deadletter.Letter, f deadletter.Failure) {
	s.Helper()
	if err := s.store.Settle(s.Context(), c, l.ID(), &f); err != nil {
		s.Fatalf("Settle of %s with a failure: %v", name(l), err)
	}
}

// wants wants an error that is target.
func (s *scene) wants(what string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Fatalf("%s: %v; want %q", what, err, target)
	}
}

// ended makes a context that is over.
func (s *scene) over() context.Context {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx
}

// name is how a letter is called in a failed test.
func name(l deadletter.Letter) string {
	return fmt.Sprintf("%.40q at %.70s", l.Key, l.Position)
}

func names(ls []deadletter.Letter) string {
	if len(ls) > 20 {
		return fmt.Sprintf("%d letters from %s to %s", len(ls), name(ls[0]), name(ls[len(ls)-1]))
	}
	var all []string
	for _, l := range ls {
		all = append(all, name(l))
	}
	return fmt.Sprint(all)
}
