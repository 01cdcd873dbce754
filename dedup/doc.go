// Package dedup has each effect of a record stand once although records are delivered at least once: the effect and the proof that it happened are one atomic write in the database where
// effects live.
//
// That database is the [Sink]. It keeps, beside the user's own data and per application and stream incarnation,
//
//	seal(shard)       epoch, session, generation, low   who may write, and the position up to which everything is applied
//	done(shard, key)  position                          what is applied above low, where keys go on side by side
//	dead(record)                                        what was given up, and may be redriven once
//
// and is the truth about how far a shard is applied. Whoever acquires a shard seals it: from then on the writes of earlier owners are refused ([ErrFenced]), and the work resumes where the sink
// stands, whatever the lease says. Each [Effects].Apply compares the fence and writes effects and marks in one step; Advance moves low before the lease's own position moves. So the position
// from which a worker resumes never exceeds what the sink holds.
//
// No position is compared across shards: a record lives in one shard, and its repeats come from that shard.
//
// The sinks are sqldedup (PostgreSQL and SQLite), ddbdedup (DynamoDB), redisdedup and memdedup; deduptest is the contract that all of them are held to. Package consumer drives a sink by
// itself (consumer.Once); whoever writes another driver calls Seal, Apply, Bury and Advance as their comments say.
package dedup
