// Package memdedup is a sink in memory, for tests: a [Sink] keeps values by name, and their marks, and knows the rules of every other sink.
//
//	sink := memdedup.New()
//	cfg.Handler = consumer.Once(sink, func(ctx context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
//		for _, r := range fresh {
//			tx.Set(r.Key, r.Data)
//		}
//		return nil
//	})
package memdedup
