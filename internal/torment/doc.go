// Package torment is what programs share that torment worker processes: a crew of processes that die with this one, are killed, and are stopped for a while; a proxy before what they write to; a stream of Kinesis that is split and merged; a clock
// that all processes share.
package torment
