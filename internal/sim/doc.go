// Package sim runs workers of package lease in virtual time, on a store, a stream and hosts that fail, and asserts what must hold all along.
//
// A world is made from a seed and nothing else: the same seed gives the same run, byte for byte of its trace. The workers are the real
// [lease.Coordinator], standing on a ground of this package: their goroutines are coroutines, of which one at a time runs until it waits. What they
// work on is a model of a consumer's runner, which hands out records by the real lanes of package ordering, several calls at once, has some of them handled slowly or never,
// decides by the real policy about those that fail, writes letters into the real store in memory, and stores positions with what is done behind them. A drainer redrives parked keys.
//
// In half of the worlds the work goes through the real sink of package memdedup, as a consumer's does: a shard is sealed and resumed where the sink stands, each call is one Apply, what is given up is buried before
// it counts as done, and the sink advances before the lease does. That sink answers late or not at all, fails over and forgets its last writes, and is told of epochs that were handed out twice. Each effect must stand
// in it once in its generation, in the order of its lane, also at the end: what was forgotten comes again. Three kinds of it do not, and are counted: effects of a shard that had ended; those whose seal was forgotten with
// them; and those above which the same owner went on, where nothing but marks of keys was forgotten.
//
//	result := sim.Run(17, os.Stdout)
//
// The first eight tenths of a run have faults: kills, stops and suspended machines, clocks that jump, networks that lose, delay and repeat,
// listings that are old, shards that split and merge, records that fail for a while or for good. The rest is quiet, and then everything must come to rest: each shard owned, each record handled.
//
// [Fleet] is a world in which nothing goes wrong but the deaths of workers: with it leases are measured at a size that no machine runs.
package sim
