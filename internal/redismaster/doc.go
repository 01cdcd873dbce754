// Package redismaster sends scripts to the master that has a key: one server, what Sentinel says is the master, or the masters of a cluster. It is what the stores in Redis share.
package redismaster
