// Command bench measures what runnel costs and how fast it is, beside the AWS SDK alone where there is something to compare. make bench runs it; it
// has no API, and no test depends on a time that it measures.
//
//	bench kinesis     # the SDK's own loop and the whole framework, against an endpoint of its own in a second process
//	bench streams     # the same on DynamoDB Streams
//	bench memory      # the framework alone, on sources in memory
//	bench lanes       # many keys side by side, what lanes cost, and what one bad or hot key does to the others
//	bench idle        # a thousand shards in memory that have nothing to say
//	bench latency     # put to handler, while records come, on the endpoints that package localstack starts
//	bench pause       # reads of a shard at rest, and its first record after a pause
//	bench start       # the first record of a new application
//	bench leases      # requests to the lease table at rest, counted at the wire
//	bench fleets      # leases at scale: on each store, and ten thousand shards with a hundred workers in simulation
//	bench marks       # effects that stand once beside the effects alone and beside the row of a marker a record, in each database
//	bench ddbseals    # lanes that conflict at the seal of their shard in DynamoDB, by the number of its stripes
//	bench goals DIR   # the results in DIR beside what is to be reached, as Markdown
//
// Results are lines of Go's benchmark format, one a round, for benchstat. What lies between two sides of a comparison is told by the rounds: each side
// runs once in each, as a process of its own, so that its processor time and its peak of memory are its own, and a machine that is disturbed disturbs
// both.
package main
