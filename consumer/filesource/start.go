package filesource

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// tick is how far the time of a file may lag the clock: kernels stamp files with the time of their last timer interrupt, of which there
// are 100 a second or more.
const tick = 10 * time.Millisecond

// arrived is an instant at which all that a file of that time holds was there; with now, not one in the future.
func arrived(modified, now time.Time) time.Time {
	if at := modified.Add(tick); at.Before(now) {
		return at
	}
	return now.Round(0)
}

// resolve finds the offset of the first byte that a start means.
func (r *reader) resolve(f io.ReaderAt, now state, at checkpoint.Start) (int64, error) {
	switch at.Kind() {
	case checkpoint.StartLatest:
		return lastLine(f, now.end, now.closed)
	case checkpoint.StartAtTime:
		return r.instant(f, now, at.Time())
	case checkpoint.StartAfter:
		n, ok := at.Position().Offset()
		if !ok || n > math.MaxInt64 {
			return 0, fmt.Errorf("it cannot be opened after %s: a position in a file is an offset", at.Position())
		}
		return int64(n), nil
	}
	return 0, nil
}

// instant finds where records begin that arrived at t or later. It may be earlier, and is never later.
func (r *reader) instant(f io.ReaderAt, now state, t time.Time) (int64, error) {
	m, err := r.source.dir.before(t)
	switch {
	case err != nil:
		return 0, err
	case m.At.Equal(t):
		return m.Ends[r.shard], nil
	case r.source.cfg.TimeField != "":
		r.older = t
		return 0, nil
	case now.modified.Add(tick).Before(t):
		return lastLine(f, now.end, now.closed)
	}
	return m.Ends[r.shard], nil
}

// anchored is how many bytes before its place a reader compares.
const anchored = 64

// anchor reads what lies before an offset at which a reader begins. It is an error if no line ends there.
func anchor(f io.ReaderAt, now state, at int64) ([]byte, error) {
	if at == 0 {
		return nil, nil
	}
	if at > now.end {
		return nil, fmt.Errorf("%w: it has %d bytes and was read up to byte %d", ErrRewritten, now.end, at)
	}
	b := make([]byte, min(at, anchored))
	if _, err := f.ReadAt(b, at-int64(len(b))); err != nil {
		return nil, err
	}
	if b[len(b)-1] != '\n' && (!now.closed || at < now.end) {
		return nil, fmt.Errorf("%w: it was read up to byte %d, and no line ends there", ErrRewritten, at)
	}
	return b, nil
}

// lastLine is where the last whole line ends of the first end bytes of a file. A closed file ends with one, with or without a newline.
func lastLine(f io.ReaderAt, end int64, closed bool) (int64, error) {
	if closed {
		return end, nil
	}
	b := make([]byte, min(end, 64<<10))
	for end > 0 {
		b = b[:min(end, int64(len(b)))]
		if _, err := f.ReadAt(b, end-int64(len(b))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return end - int64(len(b)) + int64(i) + 1, nil
		}
		end -= int64(len(b))
	}
	return 0, nil
}

// state is how a shard's file was found.
type state struct {
	size     int64 // of the file
	end      int64 // of what belongs to the shard: less than size if the marker says less
	said     int64 // what the marker says; negative: nothing
	closed   bool  // nothing will be added to what belongs to the shard
	modified time.Time
}

func stateOf(m marker, info fs.FileInfo) state {
	s := state{size: info.Size(), end: info.Size(), said: m.size, modified: info.ModTime()}
	if m.size >= 0 {
		s.end = min(s.size, m.size)
	}
	s.closed = m.closed && s.size >= m.size
	return s
}

// whole tells whether the file holds all of a closed shard, and no more.
func (s state) whole() bool { return s.closed && (s.said < 0 || s.said == s.size) }

// fault is why a shard that has a marker has not ended, though all that its file has of it was given.
func (s state) fault() error {
	switch {
	case s.said < 0 || s.said == s.size:
		return nil
	case s.size > s.said:
		return fmt.Errorf("%w: it was closed with %d bytes and has %d: append to another shard, and cut this one to its size", ErrAfterEnd, s.said, s.size)
	}
	return fmt.Errorf("it was closed with %d bytes and has %d: it was cut, or is still being copied", s.said, s.size)
}
