// Package sim runs workers of package lease in virtual time, on a store, a stream and hosts that fail, and asserts what must hold all along.
//
// A world is made from a seed and nothing else: the same seed gives the same run, byte for byte of its trace. The workers are the real
// [lease.Coordinator], standing on a ground of this package: their goroutines are coroutines, of which one at a time runs until it waits. What they
// work on is a model of a consumer's runner, which hands out records by the real lanes of package ordering, several calls at once, has some of them handled slowly or never,
// decides by the real policy about those that fail, writes letters into the real store in memory, and stores positions with what is done behind them. A drainer redrives parked keys.
//
//	result := sim.Run(17, os.Stdout)
//
// The first eight tenths of a run have faults: kills, stops and suspended machines, clocks that jump, networks that lose, delay and repeat,
// listings that are old, shards that split and merge, records that fail for a while or for good. The rest is quiet, and then everything must come to rest: each shard owned, each record handled.
//
// [Fleet] is a world in which nothing goes wrong but the deaths of workers: with it leases are measured at a size that no machine runs.
package sim
