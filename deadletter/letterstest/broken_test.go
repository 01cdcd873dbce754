package letterstest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/internal/backoff"
)

var errBroken = errors.New("broken on purpose")

// faulty is a store whose methods may be replaced.
type faulty struct {
	deadletter.Store
	put    func(context.Context, []deadletter.Letter) error
	park   func(context.Context, []deadletter.Letter, bool) error
	parked func(context.Context, deadletter.Scope) iter.Seq2[deadletter.Parking, error]
	read   func(context.Context, deadletter.Query) iter.Seq2[deadletter.Letter, error]
	claim  func(context.Context, deadletter.Claim, time.Duration) error
	settle func(context.Context, deadletter.Claim, string, *deadletter.Failure) error
}

func (f *faulty) Put(ctx context.Context, ls []deadletter.Letter) error {
	if f.put != nil {
		return f.put(ctx, ls)
	}
	return f.Store.Put(ctx, ls)
}

func (f *faulty) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if f.park != nil {
		return f.park(ctx, ls, open)
	}
	return f.Store.Park(ctx, ls, open)
}

func (f *faulty) Parked(ctx context.Context, s deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	if f.parked != nil {
		return f.parked(ctx, s)
	}
	return f.Store.Parked(ctx, s)
}

func (f *faulty) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	if f.read != nil {
		return f.read(ctx, q)
	}
	return f.Store.Read(ctx, q)
}

func (f *faulty) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	if f.claim != nil {
		return f.claim(ctx, c, d)
	}
	return f.Store.Claim(ctx, c, d)
}

func (f *faulty) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	if f.settle != nil {
		return f.settle(ctx, c, id, failed)
	}
	return f.Store.Settle(ctx, c, id, failed)
}

// broken is a store with one fault, and the cases that must see it.
type broken struct {
	name     string
	caughtBy []string
	make     func(*memletters.Store) deadletter.Store
}

// writing changes letters on their way in.
func writing(change func(*deadletter.Letter)) func(*memletters.Store) deadletter.Store {
	all := func(ls []deadletter.Letter) (changed []deadletter.Letter) {
		for _, l := range ls {
			change(&l)
			changed = append(changed, l)
		}
		return changed
	}
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{
			Store: s,
			put:   func(ctx context.Context, ls []deadletter.Letter) error { return s.Put(ctx, all(ls)) },
			park:  func(ctx context.Context, ls []deadletter.Letter, open bool) error { return s.Park(ctx, all(ls), open) },
		}
	}
}

// reading changes letters on their way out; n counts those of the reading.
func reading(change func(l *deadletter.Letter, n int)) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, read: func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
			return func(yield func(deadletter.Letter, error) bool) {
				n := 0
				for l, err := range s.Read(ctx, q) {
					n++
					if change(&l, n); !yield(l, err) {
						return
					}
				}
			}
		}}
	}
}

// asking changes queries.
func asking(change func(*deadletter.Query)) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, read: func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
			change(&q)
			return s.Read(ctx, q)
		}}
	}
}

// settling replaces the errors of Settle.
func settling(err func(error) error) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, settle: func(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
			return err(s.Settle(ctx, c, id, failed))
		}}
	}
}

// claiming replaces Claim.
func claiming(claim func(*memletters.Store, context.Context, deadletter.Claim, time.Duration) error) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, claim: func(ctx context.Context, c deadletter.Claim, d time.Duration) error { return claim(s, ctx, c, d) }}
	}
}

// parking replaces Park.
func parking(park func(*memletters.Store, context.Context, []deadletter.Letter, bool) error) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, park: func(ctx context.Context, ls []deadletter.Letter, open bool) error { return park(s, ctx, ls, open) }}
	}
}

// parkingEmpty lists keys as parked that have no letter, if Park of a letter that is elsewhere is such.
func parkingEmpty(such func(deadletter.Letter) bool) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		var empty []deadletter.Parking
		return &faulty{
			Store: s,
			park: func(ctx context.Context, ls []deadletter.Letter, open bool) error {
				err := s.Park(ctx, ls, open)
				if err == nil && !isParked(s, ls[0]) && such(ls[0]) {
					empty = append(empty, deadletter.Parking{Scope: ls[0].Scope, Key: ls[0].Key})
				}
				return err
			},
			parked: func(context.Context, deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
				return func(yield func(deadletter.Parking, error) bool) {
					for _, p := range empty {
						if !yield(p, nil) {
							return
						}
					}
				}
			},
		}
	}
}

// listing changes parkings on their way out; it leaves the listing at false.
func listing(change func(p *deadletter.Parking, n int) bool) func(*memletters.Store) deadletter.Store {
	return func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, parked: func(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
			return func(yield func(deadletter.Parking, error) bool) {
				n := 0
				for p, err := range s.Parked(ctx, scope) {
					if n++; !change(&p, n) || !yield(p, err) {
						return
					}
				}
			}
		}}
	}
}

// isParked asks a store.
func isParked(s deadletter.Store, l deadletter.Letter) bool {
	for p, err := range s.Parked(context.Background(), l.Scope) {
		if err == nil && p.Key == l.Key {
			return true
		}
	}
	return false
}

// takingTime lets others go on.
func takingTime(ctx context.Context) { _ = backoff.Wait(ctx, time.Millisecond) }
