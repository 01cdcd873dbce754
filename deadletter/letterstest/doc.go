// Package letterstest is the conformance suite of stores of dead letters: a [deadletter.Store] that passes [Suite.Run] can keep the letters of a consumer, and park its keys.
//
// A consumer moves on when its letter is stored, and trusts a parked key to keep the order. Each case tests one of the promises on which that rests:
//
//   - A letter is kept whole: its payload byte for byte, up to 10 MiB; keys, shards and attributes byte for byte, keys up to 2,048 bytes; numbers beyond 2^53, times to the
//     microsecond. The texts of failures may be any bytes, of which a store may replace what is no text.
//   - Storing a letter whose ID is there changes nothing. Scopes never see each other.
//   - Letters of a key rise in Seq as they were stored, and no Seq of a key comes again or falls back, also when all its letters were settled.
//   - A reading has what its query says, ten thousand letters too, and its reader may write before it ends.
//   - A key is parked with its first letter and free with the settling of its last, each in one step: nothing is ever appended to a key that was freed. Without letters no key is parked.
//   - A claim is one redrive's for its time, and only its holder settles.
//   - An ended context is an error and no answer.
//   - What several callers see at once of one key has an order in which each call took effect in one instant. Histories are recorded and checked by
//     github.com/anishathalye/porcupine, and one without an order is printed.
//
// Nobody else may write to scopes whose App begins with "letterstest-".
package letterstest
