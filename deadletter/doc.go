// Package deadletter keeps records that could not be handled, whole, until somebody redrives them.
//
// A [Sink] takes letters; a [Store] can also list them, hold a key parked while it has letters, and have them redriven. memletters, sqlletters and redisletters are stores;
// letterstest is what each of them passes. Those in a database have a method Setup, to be called once before anything else.
//
// To read letters in a program that only reads or redrives them, take the Scope from the source of the consumer:
//
//	stream, err := source.Stream(ctx)
//	scope := deadletter.Scope{App: cfg.Name, Stream: stream.Incarnation}
//	for l, err := range store.Read(ctx, deadletter.Query{Scope: scope, Heads: true}) { … }
package deadletter
