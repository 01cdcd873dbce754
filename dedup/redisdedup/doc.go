// Package redisdedup has effects in Redis stand once: one server, a master that Sentinel watches, or a cluster.
//
// Effects are commands and functions in Lua that an [Sink.Apply] adds to a [Write]. They are sent in one script, which compares who may write and what is applied already, makes the effects, and writes the marks last: Redis runs it
// on its own, so that effects and marks are one write. Redis does not roll back, and forgets writes in a fail-over: read "Half-way" and "What may be lost" before you choose it.
//
//	sink := redisdedup.New(redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true}), nil)
//	cfg.Handler = consumer.Once(sink, func(ctx context.Context, w *redisdedup.Write, fresh []consumer.Record) error {
//		for _, r := range fresh {
//			w.Do("HINCRBY", w.Key("orders"), r.Key, 1)
//		}
//		return nil
//	})
//
// Or redis.NewFailoverClient with Sentinel, or redis.NewClusterClient with a cluster. [Sink.Validate] refuses a client that reads from replicas, and one that waits beyond deadlines. [Sink.Setup]
// refuses a server whose maxmemory-policy is not noeviction. A consumer calls the one when it is made and the other when its Run or Redrive begins; whoever uses a sink by itself calls them first.
//
// # The keys
//
// Tested with Redis 7.0; nothing is used that Redis 6.0 lacks. All keys of an application, the sink's and those of effects, have its [Tag], its name in braces, and so are in one slot of a cluster: an application's effects are on one
// server, and an application that is too much for one is several. [Write.Key] makes such keys; one of another slot is refused before anything is sent.
//
//	{orders}:<name>                                          a key of effects, by Write.Key
//	runnel:dedup:{orders}/shards/<stream>/<shard>/seal       who may write, and up to where all is applied: a hash
//	runnel:dedup:{orders}/shards/<stream>/<shard>/done       PerKey: key -> "epoch sortable-position position", above low: a hash
//	runnel:dedup:{orders}/shards/<stream>/<shard>/order      the keys of done by sortable position: a sorted set, all scores 0
//	runnel:dedup:{orders}/shards/<stream>/<shard>/dead       what was given up, "sortable-position generation": a sorted set, all scores 0
//	runnel:dedup:{orders}/shards/<stream>/<shard>/id/<sortable-position>   PerID: "generation applied" or "generation dead"
//	runnel:dedup:{orders}/failed/<attempt>                   how a script has failed half-way, for an hour
//	runnel:dedup:{orders}/wait                               written where there are only replicas to wait for
//
// In names of applications, streams and shards a percent sign, a slash and braces are percent-encoded. Keys of records may be any bytes. An operator reads a seal with redis-cli HGETALL, and changes none.
//
// What is stored of a shard is bounded: a seal, the marks of keys that were applied above low, and what was given up and not redriven. The seal of a shard that has ended stays, some 300 bytes. Marks of [dedup.PerID] are some 200 bytes a record, for
// [Config].TTL; only those expire.
//
// # Half-way
//
// A script is not undone when one of its commands fails: what was done before stands. So everything that can be known is looked at first: who may write, what was applied, that keys are of the types that commands take, that bodies of Lua
// are Lua, and what the [Write.Check]s say. A server that is out of memory, is a replica, or has too few replicas for min-replicas-to-write refuses the first command that writes, and nothing is done. What is left is an effect that fails after others: HINCRBY on
// a field that is no number, an overflow, a command that the user may not use or that has too few arguments, an error in a body. Then
//
//   - the effects before it stand; of an [Write.Eval] also those of its commands that were done;
//   - no mark is written: for the sink none of the records is applied, and low stays;
//   - Apply returns a [*HalfwayError], which says which effect failed, in a [*dedup.RolledBackError]. The sink does not try again, nor does the script run again if its answer was lost: it has left a note, and the answer is the same;
//   - an Apply of the same records, by the consumer's next attempt, a redrive or a successor, makes the effects before it again. In front of one that may fail add a Check for that; or add such an effect first: of a
//     first [Write.Do] that fails nothing stands. Where a repetition does harm, have the handler return the error as one that no attempt can mend, see consumer.Permanent, and mend by hand before the letter is redriven.
//
// # Costs
//
// In round trips. A script keeps the server from all others while it runs.
//
//	Apply, Bury             1; with PerID 2. After a Seal 2 more, and 1 for each 1,000 marks of keys that its owner finds
//	Apply of repeats alone  1, and 1 more with Replicas
//	a redrive               2
//	Advance                 1, and 1 for each 1,000 marks of keys that it drops
//	Seal                    2
//
// A script is sent once more, in full, to a server that does not know it. Where somebody else wrote meanwhile it does nothing, says what is stored, and the function is called again.
//
// # Answers that were lost
//
// A script is sent again as it was, up to five times while ctx lasts: it finds what it expects and does its work, or its own marks, or its note. If that fails too, the error wraps [dedup.ErrUnsettled], and the same call again tells. A script that is late finds
// other marks than it expects, and does nothing.
//
// # What may be lost
//
// Redis replicates asynchronously and writes to its disk later. A master that dies may take with it the last writes that it acknowledged; effects and marks are of one server and one slot, so that those that are left are the effects of the marks that are left.
// With [dedup.PerShard] and [dedup.PerKey] that is found out, and the records are applied again:
//
//   - the seal has the server's replication history (master_replid), which each promotion and each start of a master changes. A script that finds another one does nothing, and the owner is told [dedup.ErrNotSealed]: it seals again, and
//     resumes at the low that is left, though its lease says more;
//   - who acquires a shard resumes at the low that is left;
//   - a planned fail-over, which loses nothing, looks the same, and costs the records above low being looked at again.
//
// What is not found out:
//
//   - what was forgotten of a shard that nobody seals again: one that has ended;
//   - with [dedup.PerID], effects of records that the lease has passed;
//   - a redrive that is forgotten when its letter is settled: the record is among the dead then, and no letter is there;
//   - FLUSHALL, DEL and EXPIRE of somebody, an older backup, and eviction where maxmemory-policy is changed after Setup. If the seal goes, it is told, as above, and the lease's position is taken for low by who seals.
//
// [Config].Replicas has each Apply and Bury wait, by WAIT, until so many replicas have it. That narrows the window, and does not close it: a replica that has not the write may be the one that is promoted. One that fewer have is an error that wraps
// [dedup.ErrUnsettled]: it is done on the master, and seen by everybody; the same call again finds it applied and waits again. Set appendonly yes, and appendfsync always where a restart must lose nothing.
//
// With two masters at once, the old one, cut off, takes writes of an owner until its clients are told of the new one. These writes go with it: the owner, who believes them done, is told ErrNotSealed by the new one. Set min-replicas-to-write 1 and a
// min-replicas-max-lag.
//
// Where no effect may ever be lost, choose package sqldedup on PostgreSQL with synchronous replication, or ddbdedup.
//
// # Permissions
//
// For a user of Redis 7, with the default prefix; what effects need comes on top of it:
//
//	ACL SETUSER runnel on >secret ~runnel:dedup:* -@all +eval +evalsha +info +type +exists +get +set +mget +unlink \
//	  +hmget +hset +hdel +hscan +zadd +zrem +zscore +zrangebylex +zremrangebylex
//
// A client of a cluster needs +cluster|slots and +command too, and [Config].Replicas +wait.
package redisdedup
