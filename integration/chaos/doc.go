// Command chaos torments workers and checks what they did: real worker processes, on a real endpoint of Kinesis, with leases in a real store. It has
// no API.
//
//	chaos                        # each store once, in minutes: make chaos
//	chaos -long 1h               # again and again with other seeds, once with the default timings: make chaos-long
//	chaos -seed 7 -stores sqlite # what is done is chosen by the seed, but for which worker is free to have it done to
//	chaos -break forget          # workers with a fault: the run must fail, and say where
//	chaos life handoff stop      # what handing over, stopping, deploying, crashing and starting cost, beside the goals
//
// A producer puts numbered records of some keys into a stream all the while. Workers are children of this program; each has a proxy of its own before the
// store. First some are killed with time to be overcome. Then, at the same time and by different clocks:
//
//   - workers are killed (SIGKILL), and others hired, sometimes at once;
//   - workers are stopped (SIGSTOP) for three times as long as a lease lasts, and go on;
//   - the store is cut off from one worker or from all, for longer and for shorter than a lease lasts: connections are reset, swallowed (what was sent
//     arrives long after its sender gave up), cut after the request was forwarded, delayed, or answered as by a throttled table. A database without an
//     address is locked instead;
//   - shards are split and merged;
//   - workers join, and leave when they are told to (SIGTERM).
//
// Workers tell the program of each call of their handlers, of shards that they get and lose, and of each write of a lease, before it is sent and when it
// was answered, with a clock that all processes share. From that it is checked that
//
//   - every record was handled, in the order of its shard and of its key, across splits and merges;
//   - what is repeated when a shard changes hands is within the bound of the checkpoint strategy, and nothing after a clean end;
//   - once a shard's next owner has begun, no call of an earlier one begins, except one that had been let in when its process froze;
//   - leases never go back, as the versions of their rows order them, no version is by nobody or by two, what is read was written by a worker, and an epoch is one session's;
//   - a shard begins after all its parents have ended;
//   - the shards of a killed worker are handled again in time, counted from the end of the last disturbance;
//   - no worker ends by itself, and one that is told to stop does so cleanly if its store is there.
//
// The table of results has in the column "late calls" those that are excepted, and in "fenced writes" what former owners sent and the store refused.
// Everything listens on loopback only, and children die with the program.
package main
