// Package memlease keeps leases in memory, for tests, simulation and programs of one process.
//
//	store := memlease.New()
//
// Workers that share a [Store] share shards, with every rule of package lease; nothing survives the process. It passes the
// suite of package leasetest, as every store does.
package memlease
