package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/ordering"
)

// window is what was read of a shard and is not settled: its records in their lanes, who has them, and what is known of those that failed. The feed adds pages, workers of
// the pool take batches and settle them, and the shift waits for what the clock brings. It tells no hook and does no I/O with its lock held.
type window struct {
	r        *runner
	handling context.Context //nolint:containedctx // of the calls: workers come from anywhere and must find it
	handing  context.Context //nolint:containedctx // likewise: it ends when nothing more is handed out
	begun    time.Time       // instants of the lanes are counted from here
	changed  chan struct{}   // holds one token: the shift should look
	space    chan struct{}   // holds one token: the feed may read on
	flush    chan struct{}   // closed when nothing more is handed out
	more     func(uint64) bool
	single   bool       // the handler is one of single records
	plainly  bool       // the position says all that is stored: what is done behind it is not, or the sink knows
	sunk     bool       // there is a sink
	stamp    dedup.Mark // what the marks of its records have in common

	mu       sync.Mutex
	lanes    ordering.Lanes
	slots    []slot    // of the lanes' ordinals, each at its remainder; the length is a power of two
	ends     []pageEnd // of the pages that are not done
	at       checkpoint.Position
	restored ahead
	pages    int                 // not settled
	starved  bool                // the feed waits for room
	closed   bool                // the shard's last page is there
	children []Shard             // which it named
	over     bool                // and everything is done
	stopped  bool                // nothing more is handed out
	emptying bool                // but what was read: it will not come again
	unsealed *dedup.RefusedError // by the sink
	quit     bool                // the handler, or a hook, ended its goroutine
	lapsed   bool                // acknowledgements are not waited for any longer
	dropped  bool                // nothing more is settled
	cleared  bool                // the pages were given back
	last     place               // how far the shard was done then
	quiet    chan struct{}
	calls    []*call   // under way
	bytes    int64     // of the batch that was taken last
	full     bool      // more of them were ready than fit: what is left need not wait
	readyAt  time.Time // when the records that are ready began to be
	hold     time.Time // nothing is handed out before

	failing  map[uint64]*failed
	doubts   map[uint64]doubt     // records that did not come with all that is to be known
	deferred map[uint64]*Deferred // records that wait to be acknowledged
	awaited  []*Deferred          // with a deadline, in its order
	parked   map[string]struct{}
	unsent   int    // how often in a row letters could not be stored
	troubled int    // and the sink did not do what a call asked for
	givenUp  int    // records
	toldFull uint64 // the record of which was told that it holds up the reading, and 1

	berth berth // the pool's

	redriving bool // it stands for a call of a redrive, which keeps nothing
	kept      bool // and its handler called Defer
}

// slot is one record.
type slot struct {
	rec      *Record // in its page; nil once it is done
	page     *held
	position checkpoint.Position // of a record that is done before one below it
}

// held is a page of which records are not done.
type held struct {
	page  Page
	first uint64 // the ordinal of its first record
	each  int64  // bytes a record, about
	left  int
	read  time.Time
}

// pageEnd is where a page ends.
type pageEnd struct {
	ordinal uint64 // the first one behind it
	through checkpoint.Position
}

func newWindow(handling, handing context.Context, r *runner) *window {
	w := &window{
		r: r, handling: handling, handing: handing, begun: time.Now(), at: r.lease.Position(), restored: restore(r.lease),
		changed: make(chan struct{}, 1), space: make(chan struct{}, 1), flush: make(chan struct{}), quiet: make(chan struct{}),
	}
	if r.cfg().Batch.Bytes > 0 {
		w.more = w.fits
	}
	_, w.single = r.cfg().Handler.(each)
	w.sunk, w.stamp = r.cfg().Sink != nil, r.stamp()
	w.plainly = r.sealed() || r.cfg().Delivery == AtMostOnce
	return w
}

// wish is what [Record.Checkpoint] does.
func (w *window) wish(p checkpoint.Position) {
	if !w.redriving {
		w.r.progress.ask.at(p)
	}
}

func (w *window) window() *window { return w }

// add puts a page behind the others. kinds says what its records are, and is empty if all are for the handler, by their own keys.
func (w *window) add(page Page, kinds []kind) {
	now := time.Now()
	h := &held{page: page, each: page.Bytes / int64(max(1, len(page.Records))), read: now}
	w.mu.Lock()
	h.first = w.top()
	if w.dropped {
		w.mu.Unlock()
		w.r.settle(page)
		return
	}
	passed, idle := 0, w.lanes.Ready() == 0
	if w.r.cfg().Order.By == PerShard && len(kinds) == 0 && h.first >= w.restored.end && len(page.Records) > 0 {
		w.putAll(h)
	} else {
		for i := range page.Records {
			rec := &page.Records[i]
			k := kind{key: rec.Key}
			if len(kinds) > 0 {
				k = kinds[i]
			}
			if !w.put(h, rec, k) {
				passed++
			}
		}
	}
	w.pages++
	w.end(page)
	if idle {
		w.readyAt = now
	}
	settled := h.left == 0
	if settled {
		w.pages--
	}
	w.reach(passed, int64(passed)*h.each)
	open := w.open(now)
	if len(page.Records) == 0 {
		w.shrink()
	}
	if w.r.cfg().Batch.Wait > 0 {
		signal(w.changed)
	}
	w.mu.Unlock()
	if settled {
		w.r.settle(page)
	}
	if open {
		w.r.c.pool.offer(w)
	}
}

// end notes where a page ends.
func (w *window) end(page Page) {
	e := pageEnd{w.top(), page.Through}
	if n := len(w.ends); n > 0 && w.ends[n-1].ordinal == e.ordinal {
		w.ends[n-1] = e
	} else {
		w.ends = append(w.ends, e)
	}
	if page.End {
		w.closed, w.children = true, page.Children
	}
}

// top is the ordinal of the next record.
func (w *window) top() uint64 { return w.lanes.Watermark() + uint64(w.lanes.Len()) }

// putAll puts a page into one lane.
func (w *window) putAll(h *held) {
	recs := h.page.Records
	for w.lanes.Len()+len(recs) >= len(w.slots) {
		w.grow()
	}
	w.lanes.AddRun("", len(recs))
	h.left = len(recs)
	for i := range recs {
		recs[i].ordinal = h.first + uint64(i)
		s := w.slot(recs[i].ordinal)
		s.rec, s.page = &recs[i], h
	}
}

// put gives a record its ordinal and its lane. It gives false if the record is done already.
func (w *window) put(h *held, rec *Record, k kind) bool {
	if w.lanes.Len()+1 >= len(w.slots) {
		w.grow()
	}
	o := w.top()
	if w.restored.has(o, rec.Position) || k.passes { // also one that passes may show that the first record is another
		w.slot(o).position = rec.Position
		w.lanes.Pass()
		return false
	}
	switch {
	case k.stray:
		w.lanes.AddAlone()
	case w.r.cfg().Order.By == PerKey:
		w.lanes.Add(k.key)
	case w.r.cfg().Order.By == Unordered:
		w.lanes.AddAlone()
	default:
		w.lanes.Add("")
	}
	if k.err != nil {
		note(&w.doubts, o, doubt{k.err, k.stray})
	}
	h.left++
	rec.ordinal = o
	*w.slot(o) = slot{rec: rec, page: h}
	return true
}

func note[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

func (w *window) slot(o uint64) *slot { return &w.slots[o&uint64(len(w.slots)-1)] }

// grow makes room for one more slot. That of the record before the watermark is not used again, for its position may be wanted yet.
func (w *window) grow() {
	slots := make([]slot, max(16, 2*len(w.slots)))
	for o := max(w.lanes.Watermark(), 1) - 1; o < w.top() && len(w.slots) > 0; o++ {
		slots[o&uint64(len(slots)-1)] = *w.slot(o)
	}
	w.slots = slots
}

// shrink gives back the memory of a shard that is at rest.
func (w *window) shrink() {
	if w.lanes.Len() == 0 && len(w.slots) > 0 {
		w.lanes.Shrink()
		w.slots = nil
	}
}

// done says of a record that was taken that it is. Its page is given back if it was the last of it.
func (w *window) done(o uint64, settled []Page) []Page {
	s := w.slot(o)
	s.position = s.rec.Position
	s.rec = nil
	w.lanes.Done(o)
	if len(w.failing) > 0 || len(w.doubts) > 0 {
		delete(w.failing, o)
		delete(w.doubts, o)
	}
	if s.page.left--; s.page.left == 0 {
		settled = append(settled, s.page.page)
		w.pages--
	}
	s.page = nil
	return settled
}

// reach moves the position over what is done. records and bytes became so.
func (w *window) reach(records int, bytes int64) {
	low := w.lanes.Watermark()
	if low > 0 && len(w.slots) > 0 {
		if p := w.slot(low - 1).position; w.at.Before(p) {
			w.at = p
		}
	}
	for len(w.ends) > 0 && w.ends[0].ordinal <= low {
		if p := w.ends[0].through; w.at.Before(p) {
			w.at = p
		}
		w.ends = w.ends[1:]
	}
	w.r.progress.done(w.at, records, bytes)
	if w.starved && w.room() > 0 {
		w.starved = false
		signal(w.space)
	}
	if w.closed && w.lanes.Len() == 0 && !w.over {
		w.over = true
		signal(w.changed)
	}
}

// forget is called when records that are to be read next are gone: their numbers are not those that an earlier owner knew.
func (w *window) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored = ahead{}
}

// place is a position up to which all is done, and what is done behind it.
type place struct {
	at    checkpoint.Position
	ahead checkpoint.Ahead
}

// reached is how far the shard is done.
func (w *window) reached() place {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cleared {
		return w.last
	}
	if w.plainly {
		return place{at: w.at}
	}
	low, top := w.lanes.Watermark(), w.top()
	if low == top {
		return w.restored.all(w.at, top)
	}
	return w.restored.behind(w.at, w.slot(low).rec.Position, low, top, w.lanes.Above())
}

// keyOf is by which key a record that is not done is ordered.
func (w *window) keyOf(o uint64) string {
	if w.r.cfg().Order.By == PerKey && !w.stray(o) {
		return w.lanes.Key(o)
	}
	return w.slot(o).rec.Key
}
