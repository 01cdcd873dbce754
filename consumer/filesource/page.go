package filesource

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// overhead is what a record holds in memory besides its line, its key and its position, about.
const overhead = 200

// span is a record of a page that is being made: where its line and the texts of it lie.
type span struct {
	line, lineEnd int // in ahead
	key, pos, end int // in text
	own           time.Time
}

// move goes on to an offset.
func (r *reader) move(at int64) {
	r.at, r.through = at, checkpoint.Position{}
	if at > 0 {
		r.through = checkpoint.Offset(uint64(at))
	}
}

// page cuts a page from what was read ahead.
func (r *reader) page(w consumer.Want) (consumer.Page, error) {
	done, size, err := r.scan(w)
	if err != nil {
		return consumer.Page{}, err
	}
	p := consumer.Page{Bytes: size, Behind: -1}
	if len(r.spans) > 0 {
		records, err := r.records()
		if err != nil {
			return consumer.Page{}, err
		}
		p.Records, p.Release = *records, func() {
			clear(*records) // what they refer to is large
			r.source.released.Put(records)
		}
	}
	if done > 0 {
		r.before = slices.Clone(lastOf(append(r.before, lastOf(r.ahead[:done])...)))
		if r.ahead = r.ahead[done:]; len(r.ahead) == 0 {
			r.ahead = nil // an empty slice holds all of it
		}
		r.move(r.at + int64(done))
	}
	p.Through = r.through
	switch n := len(r.spans); {
	case len(r.ahead) == 0 && !r.more:
		p.Behind = 0
	case n > 0 && !r.spans[n-1].own.IsZero() && !r.newest.IsZero():
		p.Behind = max(0, r.newest.Sub(r.spans[n-1].own))
	}
	return p, nil
}

func lastOf(b []byte) []byte { return b[max(0, len(b)-anchored):] }

// scan finds the records of the next page, how many bytes of the file they and the lines between them take, and how much memory.
func (r *reader) scan(w consumer.Want) (done int, size int64, err error) {
	cfg := &r.source.cfg
	r.spans, r.text = r.spans[:0], r.text[:0]
	for done < len(r.ahead) && (w.Records <= 0 || len(r.spans) < w.Records) {
		line, next := r.ahead[done:], len(r.ahead)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], done+i+1
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) > cfg.MaxLine {
			if done > 0 {
				break // the page before it comes first
			}
			return 0, 0, r.tooLong(r.at)
		}
		s := span{line: done, lineEnd: done + len(line)}
		if cfg.TimeField != "" {
			s.own = r.own(line)
		}
		if len(line) == 0 || !s.own.IsZero() && s.own.Before(r.older) {
			done = next
			continue
		}
		r.older = time.Time{}
		s.key = len(r.text)
		if cfg.KeyField != "" {
			if value, ok := field(line, cfg.KeyField); ok {
				r.text = appendKey(r.text, value)
			}
		}
		s.pos = len(r.text)
		r.text = strconv.AppendInt(r.text, r.at+int64(next), 10)
		s.end = len(r.text)
		n := int64(overhead + len(line) + s.end - s.key)
		if len(r.spans) > 0 && w.Bytes > 0 && size+n > w.Bytes {
			break
		}
		r.spans = append(r.spans, s)
		size += n
		done = next
	}
	return done, size, nil
}

// records makes the records that scan found, in the place of those of a page that was released. Their keys and positions share one string.
func (r *reader) records() (*[]consumer.Record, error) {
	made, _ := r.source.released.Get().(*[]consumer.Record)
	if made == nil {
		made = new([]consumer.Record)
	}
	records := slices.Grow((*made)[:0], len(r.spans))[:len(r.spans)]
	*made = records
	text := string(r.text)
	for i, s := range r.spans {
		p, err := checkpoint.Sequence(text[s.pos:s.end])
		if err != nil {
			return nil, err
		}
		records[i] = consumer.Record{
			Stream:   r.stream.Incarnation,
			Shard:    r.shard,
			Key:      text[s.key:s.pos],
			Position: p,
			Arrived:  s.own,
			Data:     r.ahead[s.line:s.lineEnd:s.lineEnd],
		}
		if s.own.IsZero() {
			records[i].Arrived = r.arrived
		}
	}
	return made, nil
}
