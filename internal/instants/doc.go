// Package instants has another process know, and stop, a worker at the instants at which it hurts most to be killed: before an effect, inside its transaction, when that is committed and the worker does not act on it yet, and when the sink has
// moved on and the lease has not. So that a test names the instant, and nothing depends on how long anything takes.
//
// It does nothing unless the environment says so: [Of] gives the sink that it was given. With RUNNEL_INSTANTS, a [Task] in JSON, it tells each call of the sink on the standard output, a line of JSON for each [Event], and obeys the lines of the
// standard input: "arm INSTANT" has the next call that comes to that instant say so and wait there, and "go INSTANT" has it go on, or none wait. The end of the input ends the process at once.
package instants
