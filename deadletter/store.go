package deadletter

import (
	"context"
	"errors"
	"iter"
	"time"
)

// What a [Store] answers, by wrapping.
var (
	// ErrNotParked: the key is not parked, so its records are for the handler.
	ErrNotParked = errors.New("deadletter: the key is not parked")
	// ErrClaimed: another redrive has the key.
	ErrClaimed = errors.New("deadletter: another redrive works on the key")
	// ErrNotClaimed: the claim is over, or was never made, so that nothing may be settled under it.
	ErrNotClaimed = errors.New("deadletter: the key is not claimed, or no longer")
	// ErrNoLetter: there is no such letter.
	ErrNoLetter = errors.New("deadletter: no such letter")
)

// Sink takes letters. All of a call's letters are stored when Put returns nil; after an error each may be stored or not, and storing it again is storing nothing.
// Payloads come as large as a source's largest record, 10 MiB, and are kept whole.
type Sink interface {
	Put(ctx context.Context, ls []Letter) error
}

// Store keeps letters, and knows which keys are parked: a key is parked from the letter that parked it until its last letter is settled, both in one step with the letter's
// own write. So whoever appends finds the key parked, and its letter will be redriven before the key is free; or finds it free, and everything before it has been.
// Its methods are safe for concurrent use, by several processes.
type Store interface {
	Sink
	// Park stores letters of one key, in their order. With open it parks the key in the same step, unless it is parked. Without, it fails with [ErrNotParked], and stores nothing, unless
	// the key is parked: who gets that hands the records to the handler.
	Park(ctx context.Context, ls []Letter, open bool) error
	// Parked lists the keys that are parked now.
	Parked(ctx context.Context, s Scope) iter.Seq2[Parking, error]
	// Read lists letters, by key and in order of Seq inside a key. An error is yielded last.
	Read(ctx context.Context, q Query) iter.Seq2[Letter, error]
	// Claim takes the key of a claim for the time d, or prolongs it for the same token; d of 0 gives it back. It fails with [ErrClaimed] while another token has it, by the store's clock.
	Claim(ctx context.Context, c Claim, d time.Duration) error
	// Settle ends a redrive of a letter: it is removed, and with the last letter of a parked key the parking, in the same step; or, with a failure, it stays, and the failure is
	// added to its history, in which one that equals the last may be left out: it is taken for this call repeated. It fails with [ErrNotClaimed] unless the claim is held, and with
	// [ErrNoLetter] if there is no such letter of that key.
	Settle(ctx context.Context, c Claim, id string, failed *Failure) error
}

// Parking is a key that is parked.
type Parking struct {
	Scope
	Key     string
	Since   time.Time // by the store's clock, or that of the letter that parked it
	Letters int
}

// Claim is the right to redrive the letters of a key, for a time.
type Claim struct {
	Scope
	Key   string
	Token string // a fresh one of each redrive
}

// Query says which letters. The zero value of a field but Scope's is all.
type Query struct {
	Scope
	ID    string
	Key   string // only letters of this key; "": of all, unless Keyed
	Keyed bool   // only letters of Key, also if that is ""
	After uint64 // only letters with a higher Seq
	Heads bool   // without payloads
	Limit int
}
