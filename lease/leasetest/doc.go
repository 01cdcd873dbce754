// Package leasetest is the conformance suite of lease stores: a [lease.Store] that passes [Suite.Run] can carry the leases of
// a consumer.
//
// The protocol's safety rests on a few promises of the store: one of two writers wins a version, a read sees every acknowledged
// write, a listing holds one group and no other. Each case tests one of them, against a store that answers and, with [Suite].Faulty, against one whose service is cut
// off, slow or throttled, and whose requests and answers are lost or late.
//
// # A store of one's own
//
// A store in the process, or in a file, is tested by one call:
//
//	func TestStoreConforms(t *testing.T) {
//		leasetest.Run(t, func(t *testing.T) lease.Store { return mystore.New(t.TempDir()) })
//	}
//
// One with a service needs a [Line] to it too. [Proxy] is one for whatever speaks TCP: the store that is tested connects to [Proxy.Addr], and another
// to the service itself. [Transport] is one for clients of HTTP. A Line of one's own has two methods.
//
// A listing may be stale: the suite looks again until a listing is as it should be, and fails when it is not within 20 s of the last write. The cases
// want a store on which nobody else writes to the keys below "leasetest-".
package leasetest
