// Package deduptest is the conformance suite of sinks: a [dedup.Effects] that passes [Run] has each effect of a consumer's records stand once.
//
// A consumer resumes where its sink says, and takes for done what the sink says is a repeat. Each case tests one of the promises on which that rests:
//
//   - The effects of a record and its mark are one write: both stand or none, whatever fails, panics, ends or is lost meanwhile.
//   - Who may write is whose epoch, session and generation are sealed. When Seal has returned, nothing of an earlier owner is written any more, and low covers what was.
//   - Low is kept across owners, moves up only, is replaced by a newer generation alone, and comes back as the text that the service wrote.
//   - A record is handed to the function once; a repeat, a fence, a missing seal, another generation and a record that came out of order are told apart.
//   - Keys are told apart whatever bytes they have, positions whatever their length, and applications, streams and shards never meet.
//   - A record that was given up is passed without an effect, and applied once when it is redriven, if it was not applied after all.
//   - The marks of keys are bounded by what is above low.
//   - An error is of exactly one of the kinds that dedup.Sink lists.
//   - A panic of the function undoes its effects and reaches the caller, and the sink goes on.
//   - What several owners see at once of one shard has an order in which each call took effect in one instant. Histories are recorded and checked by
//     github.com/anishathalye/porcupine, and one without an order is printed.
//
// Cases are run in each scope that the sink keeps, and those that need what a [Database] may leave out are run if it has it. Nobody else may use applications whose name begins with "deduptest-".
package deduptest
