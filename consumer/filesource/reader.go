package filesource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
)

const (
	largest  = 1 << 20  // what is read at once, unless a line is longer
	smallest = 16 << 10 // what is read at once where less is wanted
)

// reader reads one file. Between two calls it holds no open file, so that a directory may have more shards than a process may have files.
type reader struct {
	source *Source
	stream consumer.Stream
	shard  string
	path   string    // of its file
	end    string    // of its marker
	older  time.Time // not zero: records that are older by their own time are skipped, up to the first that is not

	at      int64               // the offset of the first byte that was not given
	through checkpoint.Position // that place
	before  []byte              // what lies before it: another content there is another file
	ahead   []byte              // whole lines from there on, which were read and not given yet
	now     state               // how the file was found when they were read
	more    bool                // it had more than that
	arrived time.Time           // when all it had was there
	newest  time.Time           // by its own time, the newest record of it; zero: unknown

	interval time.Duration // until the file is looked at again
	next     time.Time     // when that is
	closed   bool

	spans []span // of the records of a page, while it is made
	text  []byte // of their keys and positions
}

// open looks the shard up and finds where to begin.
func (s *Source) open(st consumer.Stream, shard string, at checkpoint.Start) (*reader, error) {
	r := &reader{source: s, stream: st, shard: shard, path: s.dir.lines(shard), end: s.dir.end(shard), interval: s.cfg.Busy}
	err := r.begin(at)
	if same := s.same(st); same != nil {
		return nil, same // whatever was found is another stream's
	}
	if err != nil {
		return nil, r.explain(err)
	}
	return r, nil
}

func (r *reader) begin(at checkpoint.Start) error {
	if err := checkID(r.shard); err != nil {
		return fmt.Errorf("%w: %w", consumer.ErrNoShard, err)
	}
	now, err := r.state()
	if err != nil {
		return err
	}
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was read only
	offset, err := r.resolve(f, now, at)
	if err != nil {
		return err
	}
	if r.before, err = anchor(f, now, offset); err != nil {
		return err
	}
	r.move(offset)
	return nil
}

// state looks at the file: first at its marker, so that a file that is closed has all its lines when its size is taken.
func (r *reader) state() (state, error) {
	m, err := markerIn(r.end)
	if err != nil {
		return state{}, err
	}
	m.closed = m.closed || r.source.cfg.Closed
	info, err := os.Stat(r.path)
	if err != nil {
		return state{}, err
	}
	if !info.Mode().IsRegular() {
		return state{}, fmt.Errorf("%w: %s is no file", consumer.ErrNoShard, r.path)
	}
	return stateOf(m, info), nil
}

// Next waits until the file may be looked at again, and gives what it has then.
func (r *reader) Next(ctx context.Context, w consumer.Want) (consumer.Page, error) {
	if err := context.Cause(ctx); err != nil {
		return consumer.Page{}, err
	}
	if r.closed {
		return consumer.Page{}, r.explain(fs.ErrClosed)
	}
	if len(r.ahead) == 0 && !r.finished() {
		if err := backoff.Wait(ctx, time.Until(r.next)); err != nil {
			return consumer.Page{}, err
		}
		if err := r.look(w); err != nil {
			return consumer.Page{}, err
		}
	}
	p, err := r.page(w)
	if err != nil {
		r.ahead = nil
		r.plan(false)
		return consumer.Page{}, r.explain(err)
	}
	if !r.finished() {
		return p, nil
	}
	children, err := r.source.dir.childrenOf(r.shard)
	if same := r.source.same(r.stream); same != nil {
		err = same
	}
	switch {
	case err == nil:
		p.End, p.Children = true, children
	case len(p.Records) == 0:
		return consumer.Page{}, r.explain(err)
	}
	return p, nil // if the children could not be listed, the next call tries again
}

// Close makes the reader useless.
func (r *reader) Close() error {
	r.closed, r.ahead = true, nil
	return nil
}

// finished tells whether all of a closed shard was given.
func (r *reader) finished() bool { return r.now.whole() && r.at == r.now.end }

// look reads what is new, and plans when to look again.
func (r *reader) look(w consumer.Want) error {
	now, err := r.state()
	if err == nil {
		err = r.read(now, w)
	}
	// What was read is of this stream only if it is still there now: another one may have a shard of that name.
	if err != nil || len(r.ahead) > 0 || now.closed {
		if same := r.source.same(r.stream); same != nil {
			r.ahead, err = nil, same
		}
	}
	if err != nil {
		r.now = state{}
		r.plan(false)
		return r.explain(err)
	}
	r.plan(len(r.ahead) > 0)
	return nil
}

// plan says when to look again: soon after a file has grown, and ever less often while it does not. Looks fall on multiples of the interval, so that a process
// wakes up once for all of its idle files; a file system does not mind.
func (r *reader) plan(grown bool) {
	switch {
	case grown && r.more:
		r.next = time.Time{}
		return
	case grown:
		r.interval = r.source.cfg.Busy
	default:
		r.interval = min(2*r.interval, r.source.cfg.Idle)
		r.spans, r.text = nil, nil // many shards may be idle
	}
	now := time.Now()
	r.next = now.Add(r.interval - time.Duration(now.UnixNano())%r.interval)
}

// read reads lines from the reader's place on, as many as are wanted or one that is longer.
func (r *reader) read(now state, w consumer.Want) error {
	r.now, r.more = now, false
	r.arrived = arrived(now.modified, time.Now())
	switch {
	case now.end < r.at:
		return fmt.Errorf("%w: it has %d bytes and was read up to byte %d", ErrRewritten, now.end, r.at)
	case now.end == r.at:
		return now.fault()
	}
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was read only
	size := int64(largest)
	if w.Bytes > 0 {
		size = min(max(w.Bytes, smallest), largest)
	}
	for {
		size = min(size, now.end-r.at)
		b, err := r.chunk(f, size)
		if err != nil {
			return err
		}
		last := bytes.LastIndexByte(b, '\n') + 1
		r.more = r.at+size < now.end
		switch {
		case !r.more && now.closed:
			last = len(b)
		case last > 0:
		case size > int64(r.source.cfg.MaxLine)+2:
			return r.tooLong(r.at)
		case r.more:
			size *= 4
			continue
		}
		if last == 0 {
			return now.fault()
		}
		r.ahead = b[:last:last]
		return r.findNewest(f)
	}
}

// chunk reads so many bytes from the reader's place on, and makes sure that what lies before them is what it was.
func (r *reader) chunk(f io.ReaderAt, size int64) ([]byte, error) {
	n := len(r.before)
	b := make([]byte, int64(n)+size)
	_, err := f.ReadAt(b, r.at-int64(n))
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it was cut while it was read", ErrRewritten)
	case err != nil:
		return nil, err
	case !bytes.Equal(b[:n], r.before):
		return nil, fmt.Errorf("%w: other bytes lie before byte %d, up to which it was read", ErrRewritten, r.at)
	}
	return b[n:], nil
}

// findNewest finds the time of the file's newest record, if records have one.
func (r *reader) findNewest(f io.ReaderAt) error {
	r.newest = time.Time{}
	if r.source.cfg.TimeField == "" {
		return nil
	}
	b := r.ahead
	if r.more {
		b = make([]byte, min(smallest, r.now.end))
		if _, err := f.ReadAt(b, r.now.end-int64(len(b))); err != nil {
			return err
		}
	}
	if !r.now.closed {
		b = b[:bytes.LastIndexByte(b, '\n')+1]
	}
	b = bytes.TrimRight(b, "\r\n")
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 || !r.more { // not the end of a line that is longer than b
		r.newest = r.own(b[i+1:])
	}
	return nil
}

// own is the time that a line says it was written at, zero if it says none.
func (r *reader) own(line []byte) time.Time {
	value, _ := field(line, r.source.cfg.TimeField)
	return instant(value)
}

func (r *reader) tooLong(at int64) error {
	return fmt.Errorf("%w: the one at byte %d has more than %d bytes: raise Config.MaxLine, or see what wrote it", ErrTooLong, at, r.source.cfg.MaxLine)
}

// explain says what an error is about.
func (r *reader) explain(err error) error {
	if (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && !errors.Is(err, consumer.ErrNoStream) {
		err = fmt.Errorf("%w: there is no file %s: %w", consumer.ErrNoShard, r.path, err)
	}
	if errors.Is(err, consumer.ErrNoStream) {
		return err
	}
	return fmt.Errorf("filesource: shard %s, file %s: %w", r.shard, r.path, explain(err))
}
