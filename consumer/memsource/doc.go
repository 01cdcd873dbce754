// Package memsource is a stream in memory, for tests and simulation.
//
// A [Source] is both sides: what a consumer reads, and what a test does to it – put records, split and merge shards, trim them, let them
// vanish, delete the stream. It behaves as Kinesis and DynamoDB Streams do where they are hard to please: sequence numbers fit no integer type
// and are not always of the same length, shard IDs repeat after a stream was made anew, the last page of a closed shard carries both records and the end,
// and a page's data is overwritten when the page is released.
//
// [Source.Inject] makes calls fail, in the ways in which services do. A Source keeps time by the clock of package time only, so that it runs under
// testing/synctest; it must then be made inside the bubble.
package memsource
