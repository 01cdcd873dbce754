// Package redisletters keeps dead letters in Redis: one server, a master that Sentinel watches, or a cluster.
//
// Each write is one Lua script, which Redis applies as a whole and on its own: so a key is parked with the letter that parks it, and freed with its last one. Reads and listings are from the
// master. Redis replicates asynchronously and writes to its disk later, so that it may forget letters that were acknowledged, and with a letter its record: read "What may be lost" before you choose it.
//
//	letters := redisletters.New(redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true}), nil)
//
// Or redis.NewFailoverClient with Sentinel, or redis.NewClusterClient with a cluster. [Store.Validate] refuses a client that reads from replicas, and one that waits beyond deadlines. [Store.Setup]
// refuses a server whose maxmemory-policy is not noeviction. Call it once before a store is used.
//
// # The keys
//
// Tested with Redis 7.0; nothing is used that Redis 6.0 lacks. The keys of a scope have its application and stream in braces, and so are in one slot of a cluster: all letters of a stream's incarnation
// are on one server. In these two names a percent sign, a slash and braces are percent-encoded. Keys of records, shards and payloads may be any bytes.
//
//	runnel:letters:{orders/incarnation}/seq            the last Seq that was given
//	runnel:letters:{orders/incarnation}/keys           the keys that have letters: a sorted set, all scores 0
//	runnel:letters:{orders/incarnation}/parked         the keys that are parked: a sorted set, all scores 0
//	runnel:letters:{orders/incarnation}/since          key -> the server's microseconds since 1970 when it was parked: a hash
//	runnel:letters:{orders/incarnation}/letters/<key>  the IDs of a key's letters by Seq: a sorted set
//	runnel:letters:{orders/incarnation}/letter/<ID>    a letter: a hash of seq, head, payload and history
//	runnel:letters:{orders/incarnation}/claim/<key>    the token of the redrive that has the key; it expires with the claim
//
// A letter's head is JSON, and its history a line of JSON for each failure: what is not UTF-8 is {"base64": …} there. The payload is as it was, in one piece: Redis takes 512 MB in one. An operator reads a letter
// with redis-cli HGETALL, and removes none by hand: a key would stay parked without letters.
//
// [Store.Setup] uses a scope without an application, and leaves its counter there.
//
// # Calls that are repeated
//
// After an error that is none of package deadletter's, the call may have been applied. Each may be repeated. A letter that is there is not stored again by Put or Park; one that was settled in the meantime is, and will be
// redriven again. Settle says [deadletter.ErrNoLetter] of a letter that it removed, and adds no failure that equals the last one of the history in time, worker and errors. The client repeats on its own a call whose
// answer was lost, unless its MaxRetries is -1: so that ErrNoLetter may be its own success. Claim for the same token prolongs, and giving back twice is giving back.
//
// # Costs
//
// In commands that are sent to the server. A script keeps it from all others while it runs.
//
//	Put            1 for each 100 letters or 1 MB of payloads begun, and for each change of scope in the call
//	Park           1, however large: keep a call below client-query-buffer-limit, 1 GB
//	Claim, Settle  1
//	Parked         2 round trips for each 100 keys
//	Read           1 or 2 round trips to find 100 letters, 1 for their heads, 1 for each 1 MB of their payloads begun
//
// A Read of one key with Query.Limit 1 is three round trips. Memory on the server is about what the letters have, and twice their IDs. Nothing expires but claims: what is not redriven stays.
//
// # Permissions
//
// For a user of Redis 7, with the default prefix:
//
//	ACL SETUSER runnel on >secret ~runnel:letters:* -@all +eval +evalsha +get +set +del +unlink +incrby +time \
//	  +hget +hset +hdel +hlen +hmget +zadd +zrem +zcard +zscore +zrangebyscore +zrangebylex +info
//
// A client of a cluster needs +cluster|slots and +command too, and [Config].Replicas +wait.
//
// # What may be lost
//
// A consumer moves on once a letter is stored. If Redis forgets that letter, nothing has the record any more but the stream, until it ages out: the record is lost, and none can tell. It forgets
//
//   - in a fail-over: what the promoted replica had not received. [Config].Replicas has each Put and Park wait, by WAIT, until so many replicas have it, and fail otherwise, so that the consumer does not move on. That
//     narrows the window and does not close it: a replica that has not the letter may be the one that is promoted. With one replica, and Replicas 1, it is the one that has it, unless it was cut off since.
//     In a cluster, writes with it fail while their slot is being moved to another server.
//   - when it is started again: all of it without persistence, and with appendfsync everysec the last second or more. Set appendonly yes, and appendfsync always where that must not be.
//   - with two masters at once: what the old one took after it was cut off. Set min-replicas-to-write 1 and a min-replicas-max-lag.
//   - by FLUSHALL, FLUSHDB, DEL and EXPIRE of somebody, by eviction where maxmemory-policy is changed after Setup, and by an older backup.
//
// Where no letter may ever be lost, choose package sqlletters on PostgreSQL with synchronous replication. Settle and Claim do not wait for replicas: a fail-over that forgets a Settle brings the letter back, with its parking, and it
// is redriven again; one that forgets a Claim may have two redrives work on a key for a time.
package redisletters
