// Package leasetest is the conformance suite of lease stores: a [lease.Store] that passes [Suite.Run] can carry the leases of
// a consumer.
//
// The protocol's safety rests on a few promises of the store. Each case tests one of them:
//
//   - A write is done if it names the stored version, and a conflict otherwise. Of two that create, change or delete the same version of a row in one instant one wins,
//     also when each has several rows in one call, in whatever order.
//   - A read sees every write that was acknowledged before it.
//   - Values are kept byte for byte, up to 300 KB; ten thousand rows can be in a group, and 25 in a call.
//   - A listing has one group and no other. In full it has what was acknowledged three seconds before; a reader that goes on from the highest cursor that it has seen
//     has by then seen every change that was stamped, also while several write.
//   - A call ends soon after its context. A write is then done or not, a read complete or an error.
//   - What several callers see at once, of reads, writes and deletions of the same rows, has an order in which each took effect in one instant. Histories are recorded and
//     checked by github.com/anishathalye/porcupine, and one without an order is printed.
//
// and with [Suite].Faulty, which sets what is between the store and its service:
//
//   - While the service cannot be reached, or refuses because there is too much to do, each call fails in time, and never with a conflict: nothing was compared. Soon
//     after, the store works again without being made anew.
//   - A write whose answer is lost was done once or not at all. An answer of success or conflict is true also then.
//   - A write that arrives when its sender has given up meets its condition: it does not undo what others wrote meanwhile.
//   - The histories under all these faults have an order, in which a write without an answer may take effect at any later time, or never.
//
// # A store of one's own
//
// A store in the process, or in a file, is tested by one call of [Run]. The example of [Suite] tests one with a service, through a [Proxy]: the store that is
// tested connects to [Proxy.Addr], with a pool of its own, and another to the service itself. For a client of HTTP a [Transport] takes the proxy's place:
//
//	line := leasetest.NewTransport(http.DefaultTransport, nil)
//	client := &http.Client{Transport: line}
//
// A [Line] of one's own has two methods, and knows the faults that it can make.
//
// On DynamoDB Local the suite takes a minute of two busy cores, a third of it for the ten thousand rows, on PostgreSQL some 40 s, on Redis and SQLite 20 s. The variable RUNNEL_HISTORIES of the environment says how many histories of each
// kind are recorded, 1 by default. A listing that may be stale is looked at again, for 20 s at most. Nobody else may write to the keys below "leasetest-".
package leasetest
