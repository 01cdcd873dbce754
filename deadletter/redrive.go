package deadletter

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Limiter bounds how fast letters are redriven. A limiter of a consumer is one.
type Limiter interface {
	// Wait returns when so many records may be handled, or with an error when ctx ends before.
	Wait(ctx context.Context, records int) error
}

// RedriveOptions are the options of [Redrive]. The zero value is the default.
type RedriveOptions struct {
	// Worker is who redrives, for the history of letters that fail again. Defaults to "".
	Worker string
	// Claim is for how long a key is claimed. It is renewed after each third of it; after a crash the key is free when it runs out. Defaults to 30 s.
	Claim time.Duration
	// Limiter is asked before each letter. Defaults to none.
	Limiter Limiter
}

// Redriven is what a [Redrive] did.
type Redriven struct {
	Done    int      // letters that were handled, and removed
	Failed  int      // letters that failed again, and stay
	Claimed []string // keys that were left to another redrive, which has them
	Lost    []string // keys that were left before their end, because their claim could not be kept
}

const defaultClaim = 30 * time.Second

// atEnd bounds the calls that are made also when the context of a redrive has ended: of what was handled the letter is removed, and the claim is given back.
const atEnd = 10 * time.Second

var errLost = errors.New("deadletter: the claim of the key was lost")

// Redrive hands the letters of a query to handle once more, key after key, and inside a key in the order of the stream, one at a time. A letter for which handle returns nil is removed. One that
// fails, by an error or a panic, stays with the failure in its history; then the rest of its key waits if the key is parked, for order, and goes on if it is not. Letters that are
// stored meanwhile under a key that is worked on are redriven too, so that a parked key whose letters all succeed is free afterwards. With Limit so many letters are handed out at most.
//
// A key is claimed while its letters are redriven. Keys that others have are left out and named in the result, as are those whose claim could not be kept: the context of handle ends
// then, no later than the claim.
//
// Redrive may be interrupted at any time, by ctx or a crash: a letter that was handled and not yet removed is handed out again by the next one, and nothing else is repeated. A failure
// after ctx ended is not put down to the letter. The error says what ended the redrive early, the end of ctx included; the result counts in any case.
func Redrive(ctx context.Context, s Store, q Query, o RedriveOptions, handle func(context.Context, Letter) error) (Redriven, error) {
	if handle == nil || o.Claim < 0 {
		return Redriven{}, fmt.Errorf("deadletter: Redrive with a claim of %v and a handler that is nil: %t; want a claim of 0, for the default, or more, and a handler", o.Claim, handle == nil)
	}
	o.Claim = cmp.Or(o.Claim, defaultClaim)
	r := &redrive{store: s, query: q, options: o, handle: handle}
	all := q
	all.Limit = 0 // which counts letters, and keys may be left out
	for key, err := range Keys(ctx, s, all) {
		if err != nil {
			return r.result, fmt.Errorf("deadletter: listing the keys to redrive: %w", err)
		}
		if r.full() {
			break
		}
		if err := r.key(ctx, key); err != nil {
			return r.result, fmt.Errorf("deadletter: redriving the key %q: %w", key, err)
		}
	}
	return r.result, nil
}

// redrive is one under way.
type redrive struct {
	store   Store
	query   Query
	options RedriveOptions
	handle  func(context.Context, Letter) error
	result  Redriven
}

// full tells whether as many letters were handed out as may be.
func (r *redrive) full() bool {
	return r.query.Limit > 0 && r.result.Done+r.result.Failed >= r.query.Limit
}

// key redrives the letters of a key.
func (r *redrive) key(ctx context.Context, key string) error {
	c := Claim{Scope: r.query.Scope, Key: key, Token: rand.Text()}
	defer r.giveBack(ctx, c) // also when Claim failed: it may have been done
	sent := time.Now()
	switch err := r.store.Claim(ctx, c, r.options.Claim); {
	case errors.Is(err, ErrClaimed):
		r.result.Claimed = append(r.result.Claimed, key)
		return nil
	case err != nil:
		return err
	}
	held, stop := r.keep(ctx, c, sent)
	err := func() error {
		defer stop() // before the claim is given back, and also if handle ends the goroutine
		return r.letters(held, c)
	}()
	if errors.Is(err, ErrNotClaimed) || ctx.Err() == nil && errors.Is(context.Cause(held), errLost) {
		r.result.Lost = append(r.result.Lost, key)
		return nil
	}
	return err
}

// giveBack frees the key. If it cannot, the claim runs out.
func (r *redrive) giveBack(ctx context.Context, c Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atEnd)
	defer cancel()
	_ = r.store.Claim(ctx, c, 0)
}

// letters redrives one letter after the other until none is left or one holds the rest.
func (r *redrive) letters(ctx context.Context, c Claim) error {
	q := r.query
	q.Key, q.Keyed, q.Heads, q.Limit = c.Key, true, false, 0
	line := line{after: q.After}
	for !r.full() {
		if err := line.extend(ctx, r.store, q); err != nil {
			return err
		}
		id, found := line.next()
		if !found {
			return nil
		}
		one := q
		one.ID = id
		l, found, err := r.first(ctx, one)
		if err != nil {
			return err
		}
		if !found {
			continue // who had the claim before has settled it late
		}
		failed, err := r.letter(ctx, c, l)
		if err != nil {
			return err
		}
		if !failed {
			continue
		}
		if parked, err := r.parked(ctx, c.Key); err != nil || parked {
			return err
		}
	}
	return nil
}

// first is the first letter of a query.
func (r *redrive) first(ctx context.Context, q Query) (Letter, bool, error) {
	for l, err := range r.store.Read(ctx, q) {
		return l, err == nil, err
	}
	return Letter{}, false, nil
}

// parked is asked after each failure anew: the key may have been parked since the last.
func (r *redrive) parked(ctx context.Context, key string) (bool, error) {
	for p, err := range r.store.Parked(ctx, r.query.Scope) {
		if err != nil || p.Key == key {
			return err == nil, err
		}
	}
	return false, nil
}

// letter redrives one letter, and tells whether it failed again.
func (r *redrive) letter(ctx context.Context, c Claim, l Letter) (bool, error) {
	if r.options.Limiter != nil {
		if err := r.options.Limiter.Wait(ctx, 1); err != nil {
			return false, err
		}
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	var failure *Failure
	if err := r.call(ctx, l); err != nil {
		if ctx.Err() != nil { // which may be why
			return false, context.Cause(ctx)
		}
		failure = &Failure{At: time.Now(), Worker: r.options.Worker, Errors: Chain(err)}
	}
	// What was done is settled also if ctx ended meanwhile, or it would be done again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atEnd)
	defer cancel()
	switch err := r.store.Settle(ctx, c, l.ID(), failure); {
	case errors.Is(err, ErrNoLetter): // who had the claim before it was made has settled it late
	case err != nil:
		return false, err
	case failure != nil:
		r.result.Failed++
		return true, nil
	default:
		r.result.Done++
	}
	return false, nil
}

// call has a panic of the handler be an error.
func (r *redrive) call(ctx context.Context, l Letter) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("deadletter: the handler panicked: %w", p)
		default:
			err = fmt.Errorf("deadletter: the handler panicked: %v", p)
		}
	}()
	return r.handle(ctx, l)
}
