// Package ordering says which records of a shard may be handled next, and how far the shard is done.
//
// The records of a shard have ordinals: 0, 1, 2 … in the order in which they were read. Each waits in the lane of its key, behind the earlier ones of that key; lanes go on
// side by side. [Lanes.Take] gives the records of one call: the first of lanes that are ready, and of a lane also several, in their order. A lane gives nothing more until each of these came back: by
// [Lanes.Done]; to be tried again, by [Lanes.Back]; or not handled at all, by [Lanes.Return]. What was not taken, or came back before, makes each of the three panic. So no key is ever in two hands.
//
//	ordinal      0    1    2    3    4    5    6
//	key          A    B    A    C    B    A    D
//	             done done out  done wait wait done
//	                       ↑                        the watermark: all below is done
//
// Everything below the [Lanes.Watermark] is done; a position may be stored up to there and no further. What is done above it, [Lanes.Above] names.
//
// [Lanes] is plain data: no clock, no goroutine, no lock. It needs 16 bytes a record, which it uses again, and forgets a key with its last record.
package ordering
