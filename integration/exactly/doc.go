// Command exactly kills the workers of a bank where that hurts most, and counts afterwards what the bank's own database holds: each effect once. It has no API.
//
//	exactly                                  # every sink on both kinds of streams, once: make exactly-once
//	exactly -long 1h                         # again and again with other seeds: make exactly-once-long
//	exactly -seed 7 -sinks postgres          # what is done is chosen by the seed, but for which worker it is done to
//	exactly -sinks sqlite -marks=off         # effects without marks: the run must fail, and count effects that stand twice
//
// The workers are processes of examples/bank, with leases in DynamoDB. A producer puts transfers into a stream of Kinesis, or overwrites the items of a table whose stream they read. All the while
//
//   - workers are killed (SIGKILL): at random; when a shard is sealed; before an effect; when it is made and not committed; when it is committed and nobody acts on that; when low has moved and the lease has not, while the call of another account is kept from its effects where accounts are booked side by side. For each of these instants the worker
//     says that it is there, and waits to be killed: nothing depends on timing;
//   - workers are stopped (SIGSTOP) before the effect, inside the transaction, after the commit and at random, until another has sealed their shard, and go on as zombies;
//   - the answer of a COMMIT, of a TransactWriteItems or of a script is lost: the request arrives and the connection breaks, or breaks first and the request arrives afterwards, or the worker is killed before the answer comes;
//   - shards are split and merged, or all of a table's stream are closed and continued by others;
//   - workers join, and leave when they are told to (SIGTERM).
//
// Each transfer is a line of two accounts' statements, which nothing in the database keeps from being there twice. At the end it is read from the database that
//
//   - each transfer that was put stands once in the statement of either account, and nothing else does;
//   - the transfers from an account stand in the order in which they were put;
//   - every balance is the sum of what was put, and all of them together are zero;
//   - no worker ended by itself, and one that was told to stop did so cleanly.
//
// In the table of results "deliveries" are records that were handed to a sink, "repeats" those of them that it held already and filtered, and "resumed" how often a shard was read from where the sink stood because its lease was behind: what was
// spared there was not even delivered. Everything listens on loopback only, and children die with the program.
package main
