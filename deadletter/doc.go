// Package deadletter keeps records that could not be handled, whole, until somebody redrives them.
//
// A [Sink] takes letters; a [Store] can also list them, hold a key parked while it has letters, and have them redriven. memletters, sqlletters and redisletters are stores;
// letterstest is what each of them passes.
package deadletter
