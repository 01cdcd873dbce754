// Package ddbdedup has effects in DynamoDB stand once, in two forms.
//
// A [Sink] commits effects on any items of any tables together with the marks of their records, by one TransactWriteItems. It keeps all that package dedup asks of a sink:
//
//	marks := ddbdedup.New(client, "runnel-marks", nil)
//	cfg.Handler = consumer.Once(marks, func(ctx context.Context, w *ddbdedup.Write, fresh []consumer.Record) error {
//		for _, r := range fresh {
//			w.Update(types.Update{TableName: &orders, Key: …, UpdateExpression: …})
//		}
//		return nil
//	})
//
// An [Item] keeps the mark inside the item that a record changes, and changes it by one conditional write: half the price, and less of a promise. See "One item" below.
//
// # Guarantee
//
// Effects and marks stand together or not at all. An Apply is refused once a successor's Seal has returned, however late its request arrives. A write whose answer was lost is sent again with the same ClientRequestToken, which DynamoDB
// remembers for ten minutes, and with the same conditions, which hold once; what the marks say is read consistently. If ctx ends before there is an answer the error is [dedup.ErrUnsettled], and the same call again tells. The token follows
// from the actions, of effects and of marks, and is of one call alone: whether a call has been done before is told by marks.
//
// An error about a fence, about a repeat and about a condition of one's own are told apart: rows of the marks come first in a transaction, and if a condition fails that is not theirs they are read before it is believed, because the effect
// of an earlier sending may be what makes it fail.
//
// # Limits
//
// A transaction has 100 actions and 4 MB at most, and one action an item: what several records of a call do to one item has to be one action. Marks count:
//
//	PerShard  1 a call: 99 effects at most
//	PerKey    1 for each key of the call and 1 for each stripe of these: 98 effects at most
//	PerID     1 a record
//
// One more for each record that is applied again, after a reset, while it rests among the dead. What is too much is a [*LimitError] in a [*dedup.RolledBackError], which has a consumer bisect the batch. Batches of up to 50 records with one effect each, of
// up to 32 with PerKey, have room whatever their keys. The tables are those of one account and region. Two transactions, or a transaction and a write, that meet at an item conflict: the Sink waits
// and tries again while ctx lasts, as it does where it is throttled.
//
// # Stripes
//
// With PerKey a transaction checks the fence of its shard, and two that check one item conflict, as any two transactions at one item do. So the fence is spread over [Config].Stripes rows, of which a key has one, by its hash.
// docs/benchmarks/ddbseals.txt has what that is worth: with transactions of 10 ms and 64 keys that are in one all the time, there are 5 conflicts a call with one stripe, 0.2 with 16 and 0.1 with 64, and 70, 1,000 and 1,600 calls a second; with 16 keys, 0.03 with
// 16 stripes. More than 16 are worth their price, at each change of owner, where more than some 32 keys go side by side.
//
// Who acquires a shard writes its row and all stripes that there ever were – the row knows how many – in one transaction. What is done of keys is read afterwards: by then nobody else adds to it, since a transaction of another owner has checked a stripe before, and
// then it is read, or checks it later, and is refused.
//
// Such a transaction conflicts with those of an earlier owner who still writes. After five conflicts the seal is made row by row, so that nobody can hold it up: the row of the shard first, from when on nothing else is sealed or advanced in a lower epoch, then each stripe,
// on the condition that its epoch is lower, and Seal returns when all have its epoch and what they fence has been read. Meanwhile an earlier owner may be refused at one stripe and apply records at another: those are read. A seal that breaks off there is
// finished by the next one, which has the same epoch and session, or a higher epoch: it writes all stripes, and nobody resumes before.
//
// Rows of keys at or below low are deleted by Advance. A request of the owner's own that comes late would find its record fresh then. Therefore low is written into the stripes of these keys before, and a transaction asks of its stripes that its records are above.
//
// # Costs
//
// A write unit is 1 KB of an item begun, and two in a transaction; so the effects of a [Sink] cost twice what they do by themselves. A read unit is 4 KB. The rows of marks are below 1 KB, with keys of usual length.
//
//	Apply, PerShard    2 write units a call
//	Apply, PerKey      2 write units a call and stripe, 2 a key; later 1 a key to delete its row, and 1 a stripe
//	Apply, PerID       2 write units and half a read unit to 1 read unit a record
//	Bury               as Apply, and 2 write units a record
//	Advance            1 write unit; 1 read unit where low does not move
//	Seal               1 read unit and 1 write unit; with stripes 2 write units, and 2 write units and 1 read unit a stripe
//	Redrive            4 read units, and up to 14 with PerKey; 2 write units
//	a call that fails  what it costs when it does not, and 1 read unit or more
//	Update of an Item  as without it; the item has some 150 bytes more
//
// Source: "Managing complex workflows with DynamoDB transactions", section "Capacity management for transactions", in the Amazon DynamoDB Developer Guide.
//
// # The table
//
// [Sink.Setup] makes it on demand, PAY_PER_REQUEST, if it is missing. To provision it elsewhere, give it this shape, and set [Config].MustExist:
//
//	aws dynamodb create-table --table-name runnel-marks --billing-mode PAY_PER_REQUEST \
//	  --attribute-definitions AttributeName=p,AttributeType=S AttributeName=k,AttributeType=B \
//	  --key-schema AttributeName=p,KeyType=HASH AttributeName=k,KeyType=RANGE
//	aws dynamodb update-time-to-live --table-name runnel-marks --time-to-live-specification Enabled=true,AttributeName=x
//
// The latter is needed with [Config].TTL alone. Any number of applications share a table. The keys, where APP, STREAM and SHARD are names with everything but printable ASCII, spaces, % and # percent-encoded:
//
//	p                            k                what
//	APP STREAM SHARD             seal             the seal of a shard, with low
//	APP STREAM SHARD 7           seal             its stripe 7
//	APP STREAM SHARD 7           LANE             with PerKey: what is done of a key above low; LANE is dedup.Mark.Lane
//	APP STREAM SHARD dead        POSITION         a record that was given up; POSITION is checkpoint.Position.Sort
//	APP STREAM SHARD id POSITION id               with PerID: a record
//
// Keys of records may have any bytes. A lane of more than 1,024 bytes is replaced by "h" and its SHA-256, and a partition key of more than 2,048 bytes by "#" and its SHA-256 in hexadecimal digits: two that are taken for one would need
// a collision of SHA-256. The attributes:
//
//	e  N     the epoch                       t  S     the position, as the service wrote it
//	w  S     the session                     n  N     of the seal: stripes in this epoch
//	g  N     the generation                  m  N     of the seal: most stripes ever
//	l  S     the position, in sortable form  f  N     of the seal: its first generation
//	d  BOOL  with PerID: it was given up     x  N     with PerID and Config.TTL: when it goes, in seconds since 1970
//
// Rows of seals stay. DynamoDB deletes what has expired within days, and a mark that stays longer does no harm. Do not restore the table without those of the effects, or the other way round.
//
// # Permissions
//
// On the table of marks: dynamodb:BatchGetItem, Query, PutItem, UpdateItem, DeleteItem, ConditionCheckItem and PartiQLDelete, and for Setup DescribeTable, CreateTable without [Config].MustExist, and with [Config].TTL DescribeTimeToLive and UpdateTimeToLive. On the tables of the effects: PutItem, UpdateItem, DeleteItem and
// ConditionCheckItem, as far as they are used.
//
// # One item
//
// [Item] is for effects each of which changes one item, where all records of a key change the same: order by key or by shard. It adds one attribute and one condition to the user's own UpdateItem or PutItem. The attribute has shard, epoch, session, generation and
// position of the last record that changed the item, and a record is admitted thus:
//
//   - in a higher generation, after a reset: applied again;
//   - of the same shard: if its position is higher, and its owner is the same or of a higher epoch; a position that is not higher is a repeat, and an older owner is fenced;
//   - of another shard: if its epoch is higher, since epochs rise along a lineage, so that a child outranks its parents; otherwise its owner is fenced.
//
// There is no seal, and therefore less is kept than with a Sink:
//
//   - A worker that was succeeded may still apply a record to an item that its successor has not changed, also one that its successor has given up and stored as a dead letter: the effect stands, and a redrive of the letter finds that.
//   - Where the stream goes on is what the lease says: if the table of items fails over, or is restored, what it forgets is not applied again.
//   - A letter is redriven only while its item has not gone on behind it: choose to park keys ([ErrPassed] otherwise).
//   - Deleting the item deletes its mark. Mark it as deleted instead, as long as records may come again.
//   - An [Item.Put] replaces the marks of other applications and streams with the item.
package ddbdedup
