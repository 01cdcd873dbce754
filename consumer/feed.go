package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
)

const (
	smallPage = 16 << 10 // what a shard may always read, and what an idle shard asks for
	largePage = 8 << 20  // the most that is asked for
)

// feed reads one shard into its window, as far as the budget and the bound on records allow.
type feed struct {
	r      *runner
	window *window
	kinds  []kind // of the page at hand

	finished bool                // it returned: neither it nor a hook ended its goroutine
	after    checkpoint.Position // everything up to here was read
	start    checkpoint.Start    // where the next reader opens
	gap      bool                // the gap at start was told
	ended    bool                // the sink holds everything of the shard
	fails    int                 // since the last page
	size     int64               // what the next page may hold
}

func newFeed(r *runner, w *window) *feed {
	return &feed{r: r, window: w, size: smallPage, after: r.lease.Position(), start: r.lease.Start()}
}

// run reads until the shard's last page was handed over or ctx has ended.
func (f *feed) run(ctx context.Context) {
	f.reads(ctx)
	f.finished = true
}

func (f *feed) reads(ctx context.Context) {
	if !f.seal(ctx) {
		return
	}
	for fails := 1; ; fails++ {
		err := f.window.loadParked(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			break
		}
		f.r.failed(fmt.Errorf("consumer: shard %s waits: %w", f.r.lease.Shard().ID, err))
		_ = backoff.Wait(ctx, f.r.cfg().retries().Delay(fails)) // the next attempt sees the end of ctx
	}
	for ctx.Err() == nil {
		err := f.read(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			return
		}
		f.fails++
		if f.trouble(ctx, err) {
			return
		}
	}
}

// read opens the shard and hands its pages over; nil after the last one.
func (f *feed) read(ctx context.Context) error {
	if f.ended {
		return f.end(ctx)
	}
	rd, err := f.open(ctx)
	if err != nil {
		return f.at("open", err)
	}
	defer f.close(rd)
	for {
		over, err := f.pass(ctx, rd)
		if over || err != nil {
			return err
		}
	}
}

func (f *feed) open(ctx context.Context) (Reader, error) {
	return f.r.source().Open(ctx, f.r.stream, f.r.lease.Shard(), f.start)
}

// pass reads a page and hands it over. It tells whether it was the last one. What waits in it has a small stack: an idle shard costs little more.
func (f *feed) pass(ctx context.Context, rd Reader) (last bool, err error) {
	page, err := f.next(ctx, rd)
	if err != nil {
		return false, f.at("read after", err)
	}
	if err := f.renounce(ctx, page); err != nil {
		f.r.release(page)
		return false, err
	}
	f.hand(page)
	return page.End, context.Cause(ctx)
}

// renounce stores, if nothing may be handed out twice, that a page is done before it is handed out.
func (f *feed) renounce(ctx context.Context, page Page) error {
	if f.r.cfg().Delivery != AtMostOnce || len(page.Records) == 0 {
		return nil
	}
	if err := f.r.lease.Checkpoint(ctx, page.Through, checkpoint.Ahead{}); err != nil {
		return fmt.Errorf("store that what follows is handed out: %w", err)
	}
	f.r.stored(page.Through, len(page.Records))
	return nil
}

func (f *feed) at(op string, err error) error { return fmt.Errorf("%s %s: %w", op, f.start, err) }

func (f *feed) close(rd Reader) {
	if err := rd.Close(); err != nil {
		f.r.failed(fmt.Errorf("consumer: shard %s: close its reader: %w", f.r.lease.Shard().ID, err))
	}
}

// next reads a page, and counts it.
func (f *feed) next(ctx context.Context, rd Reader) (Page, error) {
	if err := f.r.resumed(ctx); err != nil {
		return Page{}, err
	}
	records, err := f.window.vacancy(ctx)
	if err != nil {
		return Page{}, err
	}
	bytes, err := f.reserve(ctx)
	if err != nil {
		return Page{}, err
	}
	page, err := rd.Next(ctx, Want{Records: records, Bytes: bytes})
	f.r.cfg().Flow.Budget.add(page.Bytes - bytes)
	if err != nil {
		return Page{}, err
	}
	f.fails, f.gap = 0, false
	f.resize(len(page.Records), page.Bytes, bytes)
	return page, nil
}

// reserve counts bytes before they are read. A shard that has nothing in flight never waits.
func (f *feed) reserve(ctx context.Context) (int64, error) {
	budget := f.r.cfg().Flow.Budget
	for f.r.inFlight.Load() > 0 {
		if n, err := budget.acquire(ctx, smallPage, f.size, f.r.settled); n > 0 || err != nil {
			return n, err
		}
	}
	if n := budget.tryAcquire(smallPage, f.size); n > 0 {
		return n, nil
	}
	budget.add(smallPage)
	return smallPage, nil
}

// resize lets pages grow while the shard fills them. What is reserved for the next page is little more than what came, as nobody else can have it while the reader keeps its
// pace, and next to nothing for an idle shard.
func (f *feed) resize(records int, got, wanted int64) {
	if room := wanted - got; records > 0 && room < max(wanted/8, got/int64(records)) {
		f.size = min(16*max(f.size, smallPage), largePage, max(smallPage, f.r.cfg().Flow.Budget.limit/4))
		return
	}
	f.size = max(got+got/4, f.size/4, smallPage)
}

func (f *feed) hand(page Page) {
	if f.after.Before(page.Through) {
		f.after, f.start = page.Through, checkpoint.After(page.Through)
	}
	handed := false
	defer func() { // also if a hook ends this goroutine
		if !handed {
			f.r.settle(page)
		}
	}()
	f.r.adopt(page, f.window)
	f.sort(page)
	handed = true
	f.window.add(page, f.kinds)
}

// sort asks what the records of a page are, if anybody can tell.
func (f *feed) sort(page Page) {
	f.kinds = f.kinds[:0]
	if f.r.cfg().Filter == nil && f.r.cfg().Order.Key == nil {
		return
	}
	for _, rec := range page.Records {
		f.kinds = append(f.kinds, f.r.kind(rec))
	}
}

// trouble answers a failure to read, and waits before the next attempt. It gives true if the shard is over for this runner.
func (f *feed) trouble(ctx context.Context, err error) (over bool) {
	err = fmt.Errorf("consumer: shard %s: %w", f.r.lease.Shard().ID, err)
	switch {
	case errors.Is(err, ErrNoStream):
		if f.replaced(ctx) {
			f.r.c.streamGone(err)
		}
	case errors.Is(err, ErrTrimmed), errors.Is(err, ErrNoShard):
		gone := errors.Is(err, ErrNoShard)
		if f.skip(ctx, err) && (gone || f.fails == 1) { // trimmed again, it waits
			return gone
		}
	}
	f.r.failed(err)
	_ = backoff.Wait(ctx, f.r.cfg().retries().Delay(f.fails)) // run sees the end of ctx
	return false
}

// replaced asks whether the stream is gone or another one, before one shard's word for it ends the work on all.
func (f *feed) replaced(ctx context.Context) bool {
	now, err := f.r.source().Stream(ctx)
	return errors.Is(err, ErrNoStream) || err == nil && now.Incarnation != f.r.stream.Incarnation
}

// skip tells of a gap, and gets over it if that is the policy.
func (f *feed) skip(ctx context.Context, err error) bool {
	skip := f.r.cfg().Failure.OnTrimmed == SkipGap
	if !f.gap {
		f.gap = true
		f.r.c.gap(Gap{Shard: f.r.lease.Shard().ID, After: f.after, Skipped: skip, Err: err})
	}
	if !skip {
		return false
	}
	if errors.Is(err, ErrTrimmed) {
		f.start = checkpoint.Start{}
		f.window.forget()
		return true
	}
	if err := f.end(ctx); err != nil {
		f.r.failed(err)
		return false
	}
	return true
}

// end hands over the last page of a shard that is not read any further.
func (f *feed) end(ctx context.Context) error {
	children, err := f.children(ctx)
	if err == nil {
		f.hand(Page{End: true, Children: children, Behind: -1})
	}
	return err
}

// children finds in the listing who continues a shard that is gone.
func (f *feed) children(ctx context.Context) ([]Shard, error) {
	id := f.r.lease.Shard().ID
	var children []Shard
	for s, err := range f.r.source().Shards(ctx, f.r.stream) {
		if err != nil {
			return nil, fmt.Errorf("consumer: list the children of shard %s: %w", id, err)
		}
		if slices.Contains(s.Parents, id) {
			children = append(children, s)
		}
	}
	return children, nil
}
