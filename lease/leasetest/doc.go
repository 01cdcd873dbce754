// Package leasetest is the conformance suite of lease stores: a [lease.Store] that passes [Run] can carry the leases of
// a consumer.
//
// The protocol's safety rests on a few promises of the store: one of two writers wins a version, a read sees every acknowledged
// write, a listing holds one group and no other. Each case tests one of them against a store that answers; what a store does behind a failing
// network is for its own tests.
//
// A listing may be stale: the suite looks again until a listing is as it should be, and fails when it is not within 20 s of the last write. The cases
// want a store on which nobody else writes to the keys below "leasetest-".
package leasetest
