// Package filesource reads a directory of JSON Lines files as a stream, one file a shard.
package filesource
