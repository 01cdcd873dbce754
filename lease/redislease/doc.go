// Package redislease keeps leases in Redis: one server, a master that Sentinel watches, or a cluster.
//
// Each write is one Lua script that compares the versions of rows and stores them: of two workers that write the same version of a row, one wins. Reads and listings are
// from the master. Redis replicates asynchronously, so a fail-over may forget writes that were acknowledged: read "What it does not survive" before you choose it.
//
//	leases := redislease.New(redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true}), nil)
//
// Or redis.NewFailoverClient with Sentinel, or redis.NewClusterClient with a cluster. [Store.Validate] refuses a client that reads from replicas, and one without ContextTimeoutEnabled: it
// would wait beyond [lease.Timing].Request for a server that hangs. A call whose ctx is cancelled, and has no deadline, returns after the client's ReadTimeout at the latest.
//
// # The keys
//
// Tested with Redis 7.0; nothing is used that Redis 6.0 lacks. An application's keys have its name in braces, and so are in one slot of a cluster. The rows of sessions, W/…, are shared by all
// applications, in a slot of their own: a Put of rows of several applications is a script for each.
//
//	runnel:{orders-index}/S/<incarnation>/          a group's rows: a hash, name -> "version cursor value"
//	runnel:{orders-index}/S/<incarnation>/changes   the same group's names by cursor: a sorted set
//	runnel:{orders-index}/cursor                    the last cursor that was stamped in any group of the application
//
// A version counts from 1. A cursor is 16 digits: the server's microseconds since 1970 when the row was last changed in a way that others hear of, and above every earlier one. A
// value is JSON text. An operator reads them with redis-cli, also while workers run:
//
//	redis-cli HGETALL 'runnel:{orders-index}/S/<incarnation>/'
//	redis-cli HGETALL 'runnel:{W}/'
//
// A row that somebody broke is a row with an error that wraps [lease.ErrRow], and its shard is left alone: correct it with HSET, with a version higher than any that it had. To delete it
// is to forget a position and an epoch. Sorted sets that somebody broke hide no row from a full listing, and the next write of a row mends its place in them.
//
// [Store.Setup] makes no keys that stay, but the cursor's. It refuses a server whose maxmemory-policy is not noeviction.
//
// # Permissions
//
// For a user of Redis 7, with the prefix runnel:
//
//	ACL SETUSER runnel on >secret ~runnel:* -@all +eval +evalsha +type +get +set +time \
//	  +hget +hset +hdel +hlen +hscan +zadd +zrem +zcard +zrangebyscore +info
//
// A client of a cluster needs +cluster|slots and +command too, and [Config].Replicas +wait. CONFIG is not needed. With Sentinel, its user is another: it needs what go-redis asks of it.
//
// # Costs
//
// In commands that are sent to the server. A script keeps it from all others while it runs: a checkpoint some 20 µs, a hundred rows of 1 KB about a millisecond, a megabyte some four.
//
//	Put, Delete    1 for each application, and in it for each 100 rows or 1 MB of values begun
//	Get            1 for each application, and in it for each 100 rows
//	List           1 for each 100 rows or 1 MB of the group begun, in full; for each of the rows that changed, by cursor
//	History        1 for each master
//
// A script is sent once more, in full, to a server that does not know it. A listing in full is no snapshot: it has every row that was there before it began and was not deleted,
// and such as are stamped meanwhile may come twice. By cursor it costs what changed.
//
// # What it does not survive
//
//   - A fail-over may forget the last writes: those that the promoted replica had not received. A takes a shard in epoch 1, the master dies, and on the new one B takes it in epoch 1, too. So
//     epochs are not enough to fence here: a sink compares epoch and session ([lease.Lease].Session). [Store.History] tells of every promotion and of every start of a
//     master, also of those that lost nothing; see [lease.Historian] for what follows. A heartbeat below the last that was acknowledged ends the session.
//   - [Config].Replicas has each write wait until replicas have it. That narrows the window, and does not close it: a replica that has not the write may be the one that is promoted, and a write whose wait
//     fails is on the master all the same. In a cluster, writes with it fail while their slot is being moved to another server.
//   - Two masters at once: the old one is cut off from Sentinel or the cluster and not from its workers, who go on while others take their shards on the new one. Set min-replicas-to-write 1 and
//     min-replicas-max-lag below Sentinel's down-after-milliseconds: the old master then takes no heartbeats before the new one is made, but for the lag.
//   - A server that keeps nothing forgets all of it when it is started again, and one with appendfsync everysec the last second or more. Positions are forgotten too: records are delivered again, or from
//     the configured start. Set appendonly yes, and appendfsync always where that must not be. Never put an older backup in place while workers run.
//   - FLUSHALL, FLUSHDB, DEL and EXPIRE by somebody, and eviction where maxmemory-policy is changed after Setup. No History tells of them.
//   - The clock of the server does not matter for safety. Where it is set back beyond a fail-over, a listing by cursor may miss changes until the next full one.
//
// # Errors
//
// An error of a Put or Delete that is no [lease.ErrConflict] leaves open whether the rows were written: read them to know. [lease.ErrConflict] is as ambiguous: unless its MaxRetries is -1, the
// client sends a script again whose answer was lost, and meets its own success. LOADING, READONLY, CLUSTERDOWN, TRYAGAIN, MASTERDOWN and NOREPLICAS are retried by the client too, until it
// gives up or ctx ends. Refused credentials and permissions wrap [lease.ErrDenied]. Values of 300 KB are no trouble, but each write of a row sends all of its value.
//
// go-redis logs on its own to standard error: see redis.SetLogger.
package redislease
