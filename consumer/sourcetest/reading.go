package sourcetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// reading is one reader and what it has given. Each page is held to what must be true of every page.
type reading struct {
	consumer.Reader
	x      *subject
	stream consumer.Stream
	shard  consumer.Shard
	at     checkpoint.Start

	given    []given
	through  checkpoint.Position
	places   []place // the Through of each page that had one
	bytes    int64   // of all pages
	empty    int     // pages without records in a row
	end      bool
	children []consumer.Shard
	lent     []lent // strings of the released page before
}

// place is a position after which nothing but given[given:] may come.
type place struct {
	through checkpoint.Position
	given   int
}

// patience is after how many pages without records, in a row, the suite gives up waiting for one.
const patience = 60

// given is a record that a reader gave, with everything that it borrowed left out.
type given struct {
	put
	recordKey string
	position  checkpoint.Position
	arrived   time.Time
}

// lent is a string of a record and a copy of it that was made before its page was released.
type lent struct{ owned, copied string }

// next reads a page, checks it, notes what it gave and releases it. It returns the number of its records.
func (r *reading) next(ctx context.Context, tb testing.TB, w consumer.Want) int {
	tb.Helper()
	if r.end {
		tb.Fatalf("%s: read on after its end", r)
	}
	p, err := r.Next(ctx, w)
	if err != nil {
		tb.Fatalf("%s: Next after %d records: %v", r, len(r.given), err)
	}
	r.checkStrings(tb)
	if w.Records > 0 && len(p.Records) > w.Records {
		tb.Errorf("%s: a page of %d records, wanted at most %d", r, len(p.Records), w.Records)
	}
	if w.Bytes > 0 && p.Bytes > w.Bytes && len(p.Records) > 1 {
		tb.Errorf("%s: a page of %d records and %d bytes, wanted at most %d bytes or a single record", r, len(p.Records), p.Bytes, w.Bytes)
	}
	if len(p.Records) > 0 && p.Bytes <= 0 {
		tb.Errorf("%s: a page of %d records counts %d bytes", r, len(p.Records), p.Bytes)
	}
	r.bytes += p.Bytes
	if r.empty++; len(p.Records) > 0 {
		r.empty = 0
	}
	if r.empty > patience {
		tb.Fatalf("%s: %d pages in a row without a record, after it gave\n\t%v", r, r.empty, putsOf(r.given))
	}
	for _, rec := range p.Records {
		r.note(tb, rec)
	}
	r.move(tb, p.Through)
	r.finish(tb, p)
	release(p)
	return len(p.Records)
}

func release(p consumer.Page) {
	if p.Release != nil {
		p.Release()
	}
}

// note checks a record and keeps what it says.
func (r *reading) note(tb testing.TB, rec consumer.Record) {
	tb.Helper()
	if rec.Stream != r.stream.Incarnation || rec.Shard != r.shard.ID {
		tb.Errorf("%s: a record of stream %q and shard %q, want %q and %q", r, rec.Stream, rec.Shard, r.stream.Incarnation, r.shard.ID)
	}
	if rec.Arrived.IsZero() {
		tb.Errorf("%s: the record at %s has no time of arrival", r, rec.Position)
	}
	last := r.at.Position()
	if n := len(r.given); n > 0 {
		last = r.given[n-1].position
	}
	if !last.Before(rec.Position) || rec.Position.IsEnd() {
		tb.Errorf("%s: the position %q follows %q: positions rise strictly and none is END", r, rec.Position, last)
	}
	key, value, err := r.x.read(rec)
	if err != nil {
		tb.Fatalf("%s: Stream.Read of the record at %s: %v", r, rec.Position, err)
	}
	r.recode(tb, rec, put{key: key, value: string(value)})
	r.given = append(r.given, given{
		put:       put{key: strings.Clone(key), value: string(value)},
		recordKey: strings.Clone(rec.Key),
		position:  rec.Position,
		arrived:   rec.Arrived,
	})
	for _, s := range []string{rec.Stream, rec.Shard, rec.Key, rec.Position.String()} {
		r.lent = append(r.lent, lent{owned: s, copied: strings.Clone(s)})
	}
}

func (x *subject) read(rec consumer.Record) (key string, value []byte, err error) {
	if x.Read == nil {
		return rec.Key, rec.Data, nil
	}
	return x.Read(rec)
}

// checkStrings looks at the strings of the page before, which was released and whose buffers may now be another page's.
func (r *reading) checkStrings(tb testing.TB) {
	tb.Helper()
	for _, s := range r.lent {
		if s.owned != s.copied {
			tb.Errorf("%s: the string %q of a record became %q after its page was released", r, s.copied, s.owned)
		}
	}
	r.lent = nil
}

// move checks that Through covers what was given and never goes back.
func (r *reading) move(tb testing.TB, through checkpoint.Position) {
	tb.Helper()
	if through.IsEnd() {
		tb.Errorf("%s: Through is END: it is the position of something that was given", r)
	}
	if through.Before(r.through) {
		tb.Errorf("%s: Through went back from %q to %q", r, r.through, through)
	}
	if n := len(r.given); n > 0 && through.Before(r.given[n-1].position) {
		tb.Errorf("%s: Through is %q, before the record given at %s", r, through, r.given[n-1].position)
	}
	r.through = through
	if !through.IsZero() {
		r.places = append(r.places, place{through: through, given: len(r.given)})
	}
}

// finish notes the end of the shard.
func (r *reading) finish(tb testing.TB, p consumer.Page) {
	tb.Helper()
	if !p.End && len(p.Children) > 0 {
		tb.Errorf("%s: a page that does not end the shard names %d children", r, len(p.Children))
	}
	r.end, r.children = p.End, p.Children
}

// until reads pages until n records were given or the shard has ended.
func (r *reading) until(tb testing.TB, n int, w consumer.Want) {
	tb.Helper()
	for ctx := within(tb); len(r.given) < n && !r.end; {
		r.next(ctx, tb, w)
	}
}

// rest reads to the end of a closed shard.
func (r *reading) rest(tb testing.TB, w consumer.Want) {
	tb.Helper()
	for ctx := within(tb); !r.end; {
		r.next(ctx, tb, w)
	}
}

// close closes the reader.
func (r *reading) close(tb testing.TB) {
	tb.Helper()
	if err := r.Close(); err != nil {
		tb.Errorf("%s: Close: %v", r, err)
	}
}

// mustGive reports it if the reader did not give exactly these records.
func (r *reading) mustGive(tb testing.TB, want []put) {
	tb.Helper()
	if got := putsOf(r.given); !slices.Equal(got, want) {
		tb.Errorf("%s gave\n\t%v\nwant\n\t%v", r, got, want)
	}
}

func putsOf(gs []given) []put {
	ps := make([]put, len(gs))
	for i, g := range gs {
		ps[i] = g.put
	}
	return ps
}

func (r *reading) String() string { return "shard " + r.shard.ID + " from " + r.at.String() }
