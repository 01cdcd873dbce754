// Package ddbsource reads the streams of DynamoDB tables, and gives their changes as values of the program's own types.
//
//	source := ddbsource.New(dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg), "orders", nil)
//	handler := ddbsource.Each(func(ctx context.Context, c ddbsource.Change[Order]) error {
//		…
//	})
//
// The clients are the caller's: credentials, region, endpoints and HTTP settings are taken from them. The table must have a stream; its view
// type says which images a change has.
//
// # What it does
//
// A shard with records is read up to four times a second; an idle one ever less often, down to once in two seconds. Expired iterators,
// throttles, broken answers and refused iterators are tried again, with back-off and jitter, after the last record that was read.
// DescribeStream is called at most eight times a second by a Source.
//
// A shard has ended when the service gives no next iterator and the listing shows it closed. Its children are looked for for about three
// seconds; those not found are left to the next listing. Filters of the listing only save calls: what counts is the parent that each shard names.
//
// A record's Key is the item's key in DynamoDB's own JSON without white space, the attributes in the order of their names, such as
// {"id":{"S":"a"},"n":{"N":"1.5"}}. Its Data is empty: [Decode] and [SDK] read the change.
//
// # What it needs
//
// These actions must be allowed, the first on the table and the others on its stream, arn:aws:dynamodb:…:table/NAME/stream/*:
//
//	dynamodb:DescribeTable
//	dynamodb:DescribeStream
//	dynamodb:GetShardIterator
//	dynamodb:GetRecords
//
// # Limits
//
//   - DynamoDB Streams holds records for 24 hours.
//   - More than two readers of a shard are throttled; for global tables one is recommended. Each read is billed, also an empty one.
//   - Times of records have whole seconds, and there is no measure of the distance to the newest record: Page.Behind is the age of a page's
//     last record by the service's clock, zero for an empty page of an open shard, and unknown for one of a closed shard.
//   - The last page of a closed shard comes with the shard's end: while its children are looked for, up to about three seconds later. A shard that was
//     closed without any, and one whose children are listed late, are the ones that wait.
//   - A page cannot be limited in bytes. The number of records asked for is derived from their average size; what is more than wanted stays in the Reader,
//     at most one answer of 1 MB, which takes a few times that in memory.
//   - A table whose stream is enabled anew, also with another view type, has another stream. What is left in the old one is read with Config.StreamARN.
package ddbsource
