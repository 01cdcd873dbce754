// Package consumer runs a handler on the records of a stream, together with other workers, so that no record is lost and none is handled out of
// the order of its shard, or of its key.
//
// A [Consumer] takes shards of a [Source] under leases, reads them, hands their records to a [Handler], and stores how far it came. Workers
// of one name, in one process or in many, share the shards. When a worker dies, the others go on where its last stored position says.
//
//	err := consumer.Run(ctx, consumer.Config{
//		Name:    "orders-index",
//		Source:  kinesissource.New(kinesisClient, "orders", nil),
//		Leases:  ddblease.New(dynamoClient, "runnel-leases", nil),
//		Handler: consumer.JSON(func(ctx context.Context, o Order, r consumer.Record) error { … }),
//	})
//
// # What is promised
//
//   - Every record is handled at least once. A position is stored only when everything up to it is done; a handler's error, panic or lost lease never
//     moves it.
//   - Records of a shard are handled one after the other, in order, by one worker at a time, unless Config.Order says that those of a key are, or none; a shard that
//     came from others by a split or a merge starts when all of them are done.
//   - After a clean stop nothing is delivered again. After a crash, what was done since the last stored position is: the strategy in
//     Config.Checkpoint bounds it.
//   - A failing record holds its shard and no other, or what Config.Order keeps behind it, and is tried until it succeeds, unless Config.Failure says otherwise.
//   - What is in flight is bounded, in records and in bytes.
//
// # What is not
//
// Without a [Config].Sink, see [Once], delivery is at least once: a handler sees a record again after a crash, and a worker that lost a shard without knowing it yet – it was
// suspended, say – may still be inside a handler while the next owner works. The handler's context ends as soon as it can know. An effect that
// must stand once has to be idempotent; [Record.ID] names a record for that, and [Record.Epoch] tells a stale owner from the current one.
package consumer
