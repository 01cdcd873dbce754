package ordering

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/runnelhq/runnel/internal/planted"
)

// maxLen is how many records Lanes can hold, far more than fit in the memory that a caller should give them: numbers of lanes and distances in a lane stay in 32 bits.
const maxLen = 1 << 30

// Lanes are the records of one shard that are not done, or lie behind one that is not. The zero value is empty and ready for use. It bounds nothing itself: its user adds no
// more while [Lanes.Len] is too high, and beyond 2³⁰ it panics. It is not safe for concurrent use.
type Lanes struct {
	ring      []entry // of the ordinals from low to below high, each at its remainder; the length is a power of two
	low, high uint64
	above     int // how many of them are done

	lanes []lane
	free  []int32 // lanes that are not in use
	byKey map[string]int32

	first, last int32   // of the lanes that are ready, in the order in which they became so; none: 0
	ready       int     // records in them
	late        []int32 // lanes that wait for an instant: a heap, the earliest first
}

// entry is one record.
type entry struct {
	next  uint32 // how many ordinals on the next one of its lane is; 0: it is the last
	limit uint32 // of records in a call that it may be part of; 0: it never failed
	lane  int32
	state state
}

type state uint8

const (
	waiting state = iota
	out
	done
)

// lane is the unfinished records of one key. Lane 0 is never used, so that 0 is none.
type lane struct {
	key        string
	keyed      bool // it is in byKey: others may follow
	head, tail uint64
	size       int   // records that are not done
	out        int   // of these, how many were taken
	until      int64 // no record of it is to be taken before; 0: at once
	next       int32 // behind it among the lanes that are ready
}

// Add puts a record behind the earlier ones of its key, and gives its ordinal.
func (l *Lanes) Add(key string) uint64 {
	if planted.Is(planted.TwoLanes) {
		return l.alone(key, false)
	}
	if i, there := l.lane(key); there {
		k := &l.lanes[i]
		o := l.append(entry{lane: i})
		l.at(k.tail).next = uint32(o - k.tail)
		k.tail = o
		k.size++
		if k.out == 0 && k.until == 0 {
			l.ready++
		}
		return o
	}
	o := l.alone(key, true)
	if l.byKey == nil {
		l.byKey = make(map[string]int32)
	}
	l.byKey[key] = l.at(o).lane
	return o
}

// AddRun is [Lanes.Add] for n records of one key that follow each other, at least 1. It gives the ordinal of the first.
func (l *Lanes) AddRun(key string, n int) uint64 {
	first := l.Add(key)
	i := l.at(first).lane
	for range n - 1 {
		l.at(l.high - 1).next = 1
		l.append(entry{lane: i})
	}
	k := &l.lanes[i]
	k.tail = l.high - 1
	k.size += n - 1
	if k.out == 0 && k.until == 0 {
		l.ready += n - 1
	}
	return first
}

// lane is the lane of a key. Records of one key often come in a row; that the last one may be done, and its lane another key's by now, does no harm.
func (l *Lanes) lane(key string) (i int32, there bool) {
	if l.high > l.low {
		i = l.at(l.high - 1).lane
		if k := &l.lanes[i]; k.keyed && k.key == key {
			return i, true
		}
	}
	i, there = l.byKey[key]
	return i, there
}

// AddAlone puts a record into a lane of its own: it waits for no other, and none for it.
func (l *Lanes) AddAlone() uint64 { return l.alone("", false) }

// Pass gives an ordinal to a record that is done: it was filtered, or handled before.
func (l *Lanes) Pass() uint64 {
	o := l.append(entry{state: done})
	l.above++
	l.advance()
	return o
}

func (l *Lanes) alone(key string, keyed bool) uint64 {
	i := l.open()
	o := l.append(entry{lane: i})
	l.lanes[i] = lane{key: key, keyed: keyed, head: o, tail: o, size: 1}
	l.line(i)
	return o
}

// open gives a lane that is not in use.
func (l *Lanes) open() int32 {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		return i
	}
	if len(l.lanes) == 0 {
		l.lanes = append(l.lanes, lane{})
	}
	l.lanes = append(l.lanes, lane{})
	return int32(len(l.lanes) - 1)
}

func (l *Lanes) append(e entry) uint64 {
	if int(l.high-l.low) == len(l.ring) {
		l.grow()
	}
	o := l.high
	l.high++
	*l.at(o) = e
	return o
}

func (l *Lanes) grow() {
	ring := make([]entry, grown(len(l.ring)))
	for o := l.low; o < l.high; o++ {
		ring[o&uint64(len(ring)-1)] = *l.at(o)
	}
	l.ring = ring
}

func grown(n int) int {
	if n >= maxLen {
		panic("ordering: more than 2³⁰ records lie from the watermark on")
	}
	return max(64, 2*n)
}

func (l *Lanes) at(o uint64) *entry { return &l.ring[o&uint64(len(l.ring)-1)] }

// Take appends to batch the ordinals of up to n records that may be handled now, in their order, and gives it back: all of one call, which may hold many keys, and several records of one. more is asked
// for each record whether it still fits, and the first comes whatever it says; nil is yes. Records that failed together go apart from those that never failed, and no more of them at once than
// they came back with.
func (l *Lanes) Take(batch []uint64, n int, more func(ordinal uint64) bool) []uint64 {
	begun, lanes := len(batch), 0
	b := call{n: n}
	for l.first != 0 && b.size < b.n {
		i := l.first
		k := &l.lanes[i]
		took := k.size
		for o := k.head; ; o += uint64(l.at(o).next) {
			if e := l.at(o); e.state == waiting {
				if !b.admits(e.limit) || more != nil && !more(o) && b.size > 0 {
					b.n = b.size // it is full
					break
				}
				b.add(e.limit)
				batch = append(batch, o)
				e.state = out
				k.out++
			}
			if o == k.tail || b.size == b.n {
				break
			}
		}
		if k.out == 0 {
			break
		}
		l.ready -= took
		l.first = k.next
		k.next = 0
		if l.first == 0 {
			l.last = 0
		}
		lanes++
	}
	if lanes > 1 {
		slices.Sort(batch[begun:])
	}
	return batch
}

// call is what is gathered for one call.
type call struct {
	n, size int
	failed  bool // its records failed before
}

func (b *call) admits(limit uint32) bool {
	if b.size == 0 {
		return true
	}
	return b.failed == (limit > 0) && (limit == 0 || b.size < int(limit))
}

func (b *call) add(limit uint32) {
	b.size++
	if limit > 0 {
		b.failed = true
		b.n = min(b.n, int(limit))
	}
}

// Done says that a record that was taken is done.
func (l *Lanes) Done(o uint64) {
	e := l.taken(o)
	e.state = done
	l.above++
	k := &l.lanes[e.lane]
	k.size--
	k.out--
	for k.size > 0 && l.at(k.head).state == done {
		k.head += uint64(l.at(k.head).next)
	}
	l.rest(e.lane)
	l.advance()
}

// Back says that a record that was taken is to be taken again, and nothing of its lane before the instant until, by any clock of the caller's that is above 0; 0 is at once.
// limit is the most records of a call that it may then be part of; below 1 it is 1.
func (l *Lanes) Back(o uint64, until int64, limit int) {
	e := l.taken(o)
	e.state = waiting
	e.limit = uint32(min(max(1, limit), math.MaxInt32))
	k := &l.lanes[e.lane]
	k.out--
	k.until = max(k.until, until)
	l.rest(e.lane)
}

// Return says that a record was taken and not handled: it is as if it had not been, but that its lane is behind the others that are ready.
func (l *Lanes) Return(o uint64) {
	e := l.taken(o)
	e.state = waiting
	l.lanes[e.lane].out--
	l.rest(e.lane)
}

func (l *Lanes) taken(o uint64) *entry {
	if o < l.low || o >= l.high || l.at(o).state != out {
		panic(fmt.Sprintf("ordering: record %d is not one that was taken and has not come back", o))
	}
	return l.at(o)
}

// rest is called when a record of a lane came back: with its last one the lane goes on.
func (l *Lanes) rest(i int32) {
	k := &l.lanes[i]
	switch {
	case k.out > 0:
	case k.size == 0:
		if k.keyed {
			delete(l.byKey, k.key)
		}
		*k = lane{}
		l.free = append(l.free, i)
	case k.until > 0:
		l.late = append(l.late, i)
		l.up(len(l.late) - 1)
	default:
		l.line(i)
	}
}

// line puts a lane behind the others that are ready.
func (l *Lanes) line(i int32) {
	l.ready += l.lanes[i].size
	if l.first == 0 {
		l.first = i
	} else {
		l.lanes[l.last].next = i
	}
	l.last = i
}

// advance moves the watermark over what is done.
func (l *Lanes) advance() {
	for l.low < l.high && l.at(l.low).state == done {
		l.low++
		l.above--
	}
}

// Ready is how many records are in lanes from which may be taken now.
func (l *Lanes) Ready() int { return l.ready }

// Watermark is the first ordinal that is not done: all below are.
func (l *Lanes) Watermark() uint64 {
	if planted.Is(planted.OverHole) && l.above > 0 {
		return l.low + 1
	}
	return l.low
}

// Len is how many records lie from the watermark on, done or not: what is held in memory.
func (l *Lanes) Len() int { return int(l.high - l.low) }

// Unfinished is how many records are not done.
func (l *Lanes) Unfinished() int { return l.Len() - l.above }

// Key is that of a record of [Lanes.Add] that is not done.
func (l *Lanes) Key(o uint64) string {
	return l.lanes[l.undone(o).lane].key
}

func (l *Lanes) undone(o uint64) *entry {
	if o < l.low || o >= l.high || l.at(o).state == done {
		panic(fmt.Sprintf("ordering: record %d is done, or was never added", o))
	}
	return l.at(o)
}

// Lane is a number that the records of one lane have in common, and that no other lane has meanwhile, of a record that is not done.
func (l *Lanes) Lane(o uint64) int {
	return int(l.undone(o).lane)
}

// Above gives what is done above the watermark, rising and counted from the watermark: 1 is the record behind it.
func (l *Lanes) Above() iter.Seq[int] {
	return func(yield func(int) bool) {
		left := l.above
		for o := l.low; left > 0; o++ {
			if l.at(o).state == done {
				left--
				if !yield(int(o - l.low)) {
					return
				}
			}
		}
	}
}

// Shrink gives back the memory of an empty Lanes, which keeps its ordinals.
func (l *Lanes) Shrink() {
	if l.low == l.high {
		*l = Lanes{low: l.low, high: l.high}
	}
}
