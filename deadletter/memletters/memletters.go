package memletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/planted"
)

// Store is a [deadletter.Store] in memory. The zero value is empty and ready.
type Store struct {
	mu    sync.Mutex
	seq   uint64
	ids   map[string]bool // of all letters that are stored
	lanes map[deadletter.Scope]map[string]*lane
}

// lane is what is known of a key.
type lane struct {
	letters []*entry // in order of Seq
	parked  bool     // only with letters
	since   time.Time
	token   string // of the claim
	until   time.Time
}

// entry is a stored letter. It is replaced and never changed, so that readers need no lock.
type entry struct {
	id     string
	letter deadletter.Letter
}

var errMixed = errors.New("memletters: letters of several keys in one call of Park")

// New makes an empty store.
func New() *Store { return &Store{} }

// Put stores letters, and parks nothing.
func (s *Store) Put(ctx context.Context, ls []deadletter.Letter) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range ls {
		s.store(l)
	}
	return nil
}

// Park stores letters of one key, and with open parks the key.
func (s *Store) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if err := context.Cause(ctx); err != nil || len(ls) == 0 {
		return err
	}
	scope, key := ls[0].Scope, ls[0].Key
	if slices.ContainsFunc(ls, func(l deadletter.Letter) bool { return l.Scope != scope || l.Key != key }) {
		return errMixed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidy(scope, key)
	if !open && !s.lane(scope, key).parked {
		return fmt.Errorf("%w: %q", deadletter.ErrNotParked, key)
	}
	for _, l := range ls {
		s.store(l)
	}
	if a := s.lane(scope, key); !a.parked && len(a.letters) > 0 { // there is none if the letters are stored under another key
		a.parked, a.since = true, time.Now()
	}
	return nil
}

// Parked lists the keys that are parked, in their order, all of one instant.
func (s *Store) Parked(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(yield func(deadletter.Parking, error) bool) {
		for _, p := range s.parkings(scope) {
			if err := context.Cause(ctx); err != nil {
				yield(deadletter.Parking{}, err)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(deadletter.Parking{}, err)
		}
	}
}

func (s *Store) parkings(scope deadletter.Scope) (all []deadletter.Parking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, a := range s.lanes[scope] {
		if a.parked {
			all = append(all, deadletter.Parking{Scope: scope, Key: key, Since: a.since, Letters: len(a.letters)})
		}
	}
	slices.SortFunc(all, func(a, b deadletter.Parking) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// Read lists letters by key, in the order of keys, all of one instant.
func (s *Store) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		for _, e := range s.entries(q) {
			if err := context.Cause(ctx); err != nil {
				yield(deadletter.Letter{}, err)
				return
			}
			l := e.letter
			if q.Heads {
				l.Payload = nil
			}
			if !yield(copyOf(l), nil) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(deadletter.Letter{}, err)
		}
	}
}

func (s *Store) entries(q deadletter.Query) (all []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.lanes[q.Scope])) {
		if (q.Keyed || q.Key != "") && key != q.Key {
			continue
		}
		for _, e := range s.lanes[q.Scope][key].letters {
			if e.letter.Seq <= q.After || q.ID != "" && e.id != q.ID {
				continue
			}
			if all = append(all, e); len(all) == q.Limit {
				return all
			}
		}
	}
	return all
}

// Claim takes, prolongs or gives back a key.
func (s *Store) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidy(c.Scope, c.Key)
	a := s.lane(c.Scope, c.Key)
	if a.token != c.Token && time.Now().Before(a.until) {
		return fmt.Errorf("%w: %q", deadletter.ErrClaimed, c.Key)
	}
	a.token, a.until = c.Token, time.Now().Add(max(d, 0))
	return nil
}

// Settle removes a letter, or adds to its history.
func (s *Store) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidy(c.Scope, c.Key)
	a := s.lane(c.Scope, c.Key)
	if a.token != c.Token || !time.Now().Before(a.until) {
		return fmt.Errorf("%w: %q", deadletter.ErrNotClaimed, c.Key)
	}
	i := slices.IndexFunc(a.letters, func(e *entry) bool { return e.id == id })
	if i < 0 {
		return fmt.Errorf("%w: %q", deadletter.ErrNoLetter, id)
	}
	if failed != nil {
		l := copyOf(a.letters[i].letter)
		l.History = append(l.History, copyOfFailure(*failed))
		a.letters[i] = &entry{id, l}
		return nil
	}
	delete(s.ids, id)
	a.letters = slices.Delete(a.letters, i, i+1)
	a.parked = a.parked && len(a.letters) > 0 && !planted.Is(planted.UnparkEarly)
	return nil
}

// store keeps a letter unless it is there.
func (s *Store) store(l deadletter.Letter) {
	id := l.ID()
	if s.ids[id] {
		return
	}
	a := s.lane(l.Scope, l.Key)
	s.seq++
	l = copyOf(l)
	l.Seq = s.seq
	s.ids[id] = true
	a.letters = append(a.letters, &entry{id, l})
}

// lane finds or makes the lane of a key; tidy forgets it when nothing is left to know.
func (s *Store) lane(scope deadletter.Scope, key string) *lane {
	if s.lanes == nil {
		s.ids, s.lanes = map[string]bool{}, map[deadletter.Scope]map[string]*lane{}
	}
	if s.lanes[scope] == nil {
		s.lanes[scope] = map[string]*lane{}
	}
	a := s.lanes[scope][key]
	if a == nil {
		a = &lane{}
		s.lanes[scope][key] = a
	}
	return a
}

func (s *Store) tidy(scope deadletter.Scope, key string) {
	if a := s.lane(scope, key); len(a.letters) == 0 && !time.Now().Before(a.until) {
		delete(s.lanes[scope], key)
	}
	if len(s.lanes[scope]) == 0 {
		delete(s.lanes, scope)
	}
}

// copyOf shares nothing with l.
func copyOf(l deadletter.Letter) deadletter.Letter {
	l.Payload = slices.Clone(l.Payload)
	l.Attributes = maps.Clone(l.Attributes)
	l.Errors = slices.Clone(l.Errors)
	l.History = slices.Clone(l.History)
	for i, f := range l.History {
		l.History[i] = copyOfFailure(f)
	}
	return l
}

func copyOfFailure(f deadletter.Failure) deadletter.Failure {
	f.Errors = slices.Clone(f.Errors)
	return f
}
