// Package ddblease keeps leases in a DynamoDB table.
//
// Each row is one item, each write one conditional request: of two workers that write the same version of a row, one wins. No
// transaction is used. Reads by key are consistent; listings are eventually consistent, which the protocol of package lease allows for.
// Any number of applications share a table: the rows of each are under its name.
//
//	leases := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", nil)
//
// # The table
//
// [Store.Setup] makes it on demand, PAY_PER_REQUEST, if it is missing. To provision it elsewhere, give it this shape, and set
// [Config].MustExist:
//
//	aws dynamodb create-table --table-name runnel-leases --billing-mode PAY_PER_REQUEST \
//	  --attribute-definitions AttributeName=g,AttributeType=S AttributeName=k,AttributeType=S AttributeName=c,AttributeType=S \
//	  --key-schema AttributeName=g,KeyType=HASH AttributeName=k,KeyType=RANGE \
//	  --global-secondary-indexes 'IndexName=changes,KeySchema=[{AttributeName=g,KeyType=HASH},{AttributeName=c,KeyType=RANGE}],Projection={ProjectionType=KEYS_ONLY}'
//
// The attributes of an item:
//
//	g  S  the group: the row's key up to and including its last slash; 2048 bytes at most
//	k  S  the rest of the key; 1024 bytes at most
//	v  N  the version, from 1; each write adds 1
//	c  S  the cursor: the instant of the last change of which others hear, by the writer's clock
//	b  S  the value: JSON text
//
// An item of more than 400 KB is refused. Other attributes are lost at the next write. An item that lacks one of these, or has it with
// another type, is a row with an error that wraps [lease.ErrRow], and its shard is left alone: give it the attribute back, with a version higher than any that it had. To delete it
// is to forget a position and an epoch.
//
// Setup refuses a table of another shape, and one that is replicated across regions by last writer wins: two regions would
// each let a worker win. Multi-Region strong consistency is accepted. Do not restore the table, or delete it, while
// workers run.
//
// # Permissions
//
// On the table: dynamodb:DescribeTable, BatchGetItem, Query, PutItem and DeleteItem, and CreateTable without [Config].MustExist; on its index changes: dynamodb:Query.
// docs/getting-started.md has them as policies.
//
// # Costs
//
// A write unit is 1 KB of an item, or of an index entry, begun; a read unit 4 KB, and half of one where the read is not consistent. A lease row is below 1 KB.
//
//	Put that keeps the cursor (checkpoint)    1 write unit
//	Put with a new cursor (owner changes)     1 write unit, and 2 of the index: its old entry goes, a new one comes
//	Put that creates a row                    1 write unit, and 1 of the index
//	Delete                                    1 write unit, and 1 of the index
//	a Put or Delete that is a conflict        1 write unit
//	Get                                       1 read unit a row, found or not
//	List in full                              half a read unit for each 4 KB of the group
//	List by cursor                            half a read unit, and 1 for each row that changed
//
// Sources: "Managing settings on DynamoDB provisioned capacity tables", "Using Global Secondary Indexes in DynamoDB", section "Provisioned throughput
// considerations", in the Amazon DynamoDB Developer Guide.
//
// # Limits
//
// A partition key carries 1,000 write units and 3,000 read units a second, and the rows of all sessions have one, W/. Each worker writes its row there once a heartbeat, and
// lists them all once a poll, at half a read unit for each 4 KB. With rows of 300 bytes and the default of 2 s for both, a hundred workers take
// 50 write units and 200 read units a second; reads reach the limit at some 400 workers on one table, writes at 2,000. For more, use a table for each application, or a longer
// Timing.Poll. Source: "Best practices for designing and using partition keys effectively in DynamoDB", in the same guide.
//
// # Errors
//
// Throttled and failed requests are retried by the client's own retryer, with back-off and jitter, until it gives up or ctx ends. The SDK's default makes three
// attempts and waits up to 2 s and then 4 s between them, so that of the 2 s of Timing.Request the first wait takes half on average: a call that is throttled twice mostly
// fails, and package lease tries again at the next heartbeat, poll or checkpoint. After about a hundred retries that came to nothing the default retryer stops to retry until requests
// succeed again; calls then fail at once. A client for leases alone can be given a retryer with shorter waits, as Backoff of retry.StandardOptions.
//
// [lease.ErrConflict] is ambiguous here: a write that was applied, whose answer was lost and that the client sent again, meets its own version. A Put with an empty cursor
// recognises itself by its stamp, and is done; for one that keeps its cursor, and for a Delete, read the row to know. Keys that a BatchGetItem left unprocessed
// are asked for again until ctx ends.
//
// # Clocks
//
// Cursors are stamped by the clocks of the writers. A listing by cursor reaches ten seconds further back, so it has the changes of writers whose
// clocks differ by less; a change by a host whose clock is further behind is found by the next full listing. No other promise depends
// on a clock.
package ddblease
