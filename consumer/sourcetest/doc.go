// Package sourcetest is the conformance suite that every [consumer.Source] passes.
//
// A source's test hands [Run] a [Driver]: how to make a stream on the endpoint, how to put records into it, and what else can be done to
// it – close a shard, merge two, let iterators expire. What an endpoint cannot do is said in Driver.Lacks with the reason;
// a function that is absent without a reason fails the suite, so that nothing is left out in silence.
//
//	func TestConformance(t *testing.T) {
//		sourcetest.Run(t, sourcetest.Driver{
//			New: func(tb testing.TB, shards int) *sourcetest.Stream {
//				name := createStream(tb, shards)
//				return &sourcetest.Stream{
//					Source: func() consumer.Source { return mysource.New(client, name, nil) },
//					Put:    func(ctx context.Context, key string, value []byte) error { return put(ctx, name, key, value) },
//					Roll:   func(ctx context.Context, shard string) error { return split(ctx, name, shard) },
//					…
//				}
//			},
//			Missing: func(testing.TB) consumer.Source { return mysource.New(client, "absent", nil) },
//			Lacks:   map[sourcetest.Ability]string{sourcetest.Trim: "the endpoint keeps everything for a day"},
//		})
//	}
//
// If the source is a [consumer.Codec], each record that the suite reads is also encoded, decoded by another source, and compared.
//
// The suite holds a source to what every service promises. How an idle reader is paced, and what a source does when a request fails,
// depends on the service: its own tests show that. Readers that poll in short intervals make the suite quick; it makes about eight streams, one after
// the other, and reads a few hundred pages.
package sourcetest
