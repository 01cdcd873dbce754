package lease

import (
	"context"
	"errors"
	"iter"
)

// ErrConflict is what a [Store] answers for a row whose stored version is not the one that the caller read. It is no proof that the
// write was not applied: a client that retried its own success gets it too.
var ErrConflict = errors.New("lease: row has another version")

// ErrTable is wrapped by the errors of [Store.Setup] about storage that exists and has another shape than the store's.
var ErrTable = errors.New("lease: the table is not one of this store's")

// ErrDenied is wrapped by the errors of a store that refuses the caller: wrong credentials, region or permissions.
var ErrDenied = errors.New("lease: access denied")

// Row is an opaque versioned row. Every rule of the protocol is in this package and none in a [Store].
type Row struct {
	// Key names the row: a group that ends in a slash, and a name without one: "orders/S/arn/" + "shardId-000000000000".
	Key string
	// Version is 0 for a row that does not exist, and rises by 1 with each write.
	Version uint64
	// Cursor orders the changes inside a group, for [Store.List]. A Put with an empty Cursor has the store stamp a new one, so
	// that the change is listed; a Put with the Cursor that was read keeps the row's place, so that a frequent write of which
	// nobody else must hear, such as a checkpoint, costs nothing more than the row.
	Cursor string
	// Value is JSON text, so that an operator can read it.
	Value []byte
	// Err is why the store cannot read the row, though it is there: Version is not 0, and the rest says nothing. It wraps [ErrRow]. Only stores set it, so
	// that one row that somebody broke does not hide the others.
	Err error
}

// Store keeps versioned rows, each linearizable. Implementations are safe for concurrent use. One that can be made wrongly has a method
// Validate() error, which those who are given it call before they use it. Methods
// return before ctx ends or soon after; a write under a ctx that has ended may still be applied.
type Store interface {
	// Setup makes the storage if it is missing, and checks it if it is there: an error about its shape wraps [ErrTable], and one about what the caller may do [ErrDenied]. It may be
	// called by many workers in the same instant.
	Setup(ctx context.Context) error
	// Get reads rows consistently, in the order of keys: it sees every write that was acknowledged before the call. A row that does not
	// exist has Version 0.
	Get(ctx context.Context, keys []string) ([]Row, error)
	// List yields the rows of a group: group is everything of their keys up to the last slash. With the cursor after, only rows that were
	// stamped with a later one need to come; rows stamped earlier may come too. The answer may be stale,
	// and a change may be missing from a listing by cursor; a listing with after == "" yields every row that was
	// written some seconds before it. An error is yielded last.
	List(ctx context.Context, group, after string) iter.Seq2[Row, error]
	// Put writes each row if its stored version equals row.Version, as row.Version + 1: 0 creates it. The rows are independent. The answer has
	// one error a row, or is nil when all were written: [ErrConflict], or another error, after which the write may or may not have been, or still be, applied.
	Put(ctx context.Context, rows []Row) []error
	// Delete removes each row under the same condition and with the same answers; Cursor and Value are ignored. Deleting a row with Version 0 is a conflict if it exists.
	Delete(ctx context.Context, rows []Row) []error
}

// Stamper is a [Store] whose cursors are instants, stamped by its callers' clocks: a listing by cursor reaches back by what these may differ, and so yields again, at
// every call, what changed shortly before the last change. With Stamp a caller can go on from when it listed last instead.
type Stamper interface {
	// Stamp is the cursor that a change would get now.
	Stamp() string
}
