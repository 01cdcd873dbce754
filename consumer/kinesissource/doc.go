// Package kinesissource reads Kinesis data streams by polling.
//
//	source := kinesissource.New(kinesis.NewFromConfig(cfg), "orders", nil)
//
// The client is the caller's: credentials, region, endpoint and HTTP settings are taken from it. A stream of another account is named by its ARN.
//
// # What it does
//
// A shard with records is read up to three times a second, and as often while it is behind; an idle one ever less often, down to once in
// two seconds. A shard is not read faster than the 2 MiB a second that Kinesis gives it. Expired iterators, throttles, broken answers and
// refused iterators are tried again, with back-off and jitter, after the last record that was read.
// A shard has ended when the service gives no next iterator and names the children, or when a listing shows the shard as closed.
//
// # What it needs
//
// These actions must be allowed on the stream:
//
//	kinesis:DescribeStreamSummary
//	kinesis:ListShards
//	kinesis:GetShardIterator
//	kinesis:GetRecords
//
// and kms:Decrypt on the key of a stream that is encrypted with a key of the customer's.
//
// # Limits
//
//   - Five reads and 2 MiB a second and shard are shared by all polling consumers of a stream, whoever they are.
//   - Kinesis does not tell that a position is no longer held: reading goes on silently at the oldest record. A consumer that was away for
//     longer than the stream's retention loses records without [consumer.ErrTrimmed]. Watch Page.Behind against the retention.
//   - A page cannot be limited in bytes. The number of records asked for is derived from their average size; what is more than wanted stays in the Reader,
//     at most the 10 MiB of one answer.
//   - A stream that is deleted and made anew under its name is another one, which is noticed if that took five seconds or more.
//   - Times of arrival are the service's and not monotonic. A start at an instant in the future is an error until it has come.
//   - Records that the Kinesis Producer Library aggregated are given as they are, one record.
package kinesissource
