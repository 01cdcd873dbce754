// Package lease shares the shards of a stream among workers, so that each shard is worked on by at most one of them at a time – as long as work ends soon after its context –, from where the
// last one stopped.
//
// # The model
//
// A worker is a [Coordinator] that runs. It has a session: a row in a [Store] with a heartbeat. Each shard has a row with an owner, an epoch and a
// position. A worker takes rows that have no owner or a dead one, in a new epoch, and has its [Config].Work called with a [Lease] for each. All
// workers work out alike which shard is meant for whom; there is no leader. A session whose heartbeat stands still for [Timing].Expiry is marked as
// dead by whoever sees it, and its shards are taken.
//
// # What is guaranteed
//
// Only the owner of the current epoch can store a position, and a position never goes back. As long as the clocks of two hosts differ in rate by
// less than a quarter, at most one lease of a shard is valid ([Lease.Valid]) at any time. A shard is worked on when all its parents have ended. A process that
// is suspended may act in a lease that is no longer its own until it asks Valid: what it stores is refused, and only the place where its effects go can refuse
// those, by epoch and session.
//
// # Operators
//
// An [Operator] looks at an application and acts on it by its rows: it pauses shards, drains workers, and has shards read again. It takes no shard from an owner that lives: it asks for
// it in the shard's row, and the owner finishes what is in flight and lets go.
//
// # Stores
//
// Every rule of the protocol is in this package; a [Store] keeps opaque versioned rows and compares versions. Package memlease keeps them in
// memory, ddblease in a DynamoDB table, sqllease in PostgreSQL or SQLite, redislease in Redis. One that may
// forget what it acknowledged says so as a [Historian]: then nothing is taken until whoever had something before has stopped.
package lease
