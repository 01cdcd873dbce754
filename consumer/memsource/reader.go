package memsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
)

// recordSize is what a record holds besides its key and its data, about.
const recordSize = 200

// poison is what a page's data is overwritten with when the page is released.
const poison = 0xDD

// reader keeps both a place and, as a real one does, what it needs to find the place again when its iterator is useless.
type reader struct {
	source  *Source
	stream  consumer.Stream
	shard   string
	start   checkpoint.Start
	cursor  cursor
	through checkpoint.Position
	idle    *time.Timer // stopped; a shard without records leaves no garbage
	closed  bool
}

// open asks for an iterator at the reader's place.
func (r *reader) open(ctx context.Context) error {
	if err := r.source.call(ctx, OpOpen, r.shard); err != nil {
		return err
	}
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	sh, err := r.source.find(r.stream, r.shard)
	if err != nil {
		return err
	}
	at := r.start
	if !r.through.IsZero() {
		at = checkpoint.After(r.through)
	}
	if r.cursor, err = sh.resolve(at); err != nil {
		return err
	}
	if at.Kind() == checkpoint.StartLatest {
		r.start = sh.before(r.cursor)
	}
	return nil
}

// Next waits for records for as long as [Config.Poll] says.
func (r *reader) Next(ctx context.Context, w consumer.Want) (consumer.Page, error) {
	if err := context.Cause(ctx); err != nil {
		return consumer.Page{}, err
	}
	if r.closed {
		return consumer.Page{}, fmt.Errorf("memsource: reader of shard %s: %w", r.shard, ErrClosed)
	}
	if err := r.ask(ctx); err != nil {
		return consumer.Page{}, err
	}
	r.idle.Reset(r.source.cfg.Poll)
	defer r.idle.Stop()
	for waited := false; ; {
		page, changed, err := r.page(w)
		if err != nil || changed == nil || waited {
			return page, err
		}
		select {
		case <-changed:
		case <-r.idle.C:
			waited = true
		case <-ctx.Done():
			return consumer.Page{}, context.Cause(ctx)
		}
	}
}

// ask sends the request for a page, and opens the shard again as often as the iterator has expired.
func (r *reader) ask(ctx context.Context) error {
	began := time.Now()
	for n := 1; ; n++ {
		err := r.source.call(ctx, OpNext, r.shard)
		if !errors.Is(err, errExpired) {
			return err
		}
		if time.Since(began) > patience {
			return r.source.failed(OpNext, r.shard, err)
		}
		if err := r.open(ctx); err != nil {
			return err
		}
		if n == 1 {
			continue
		}
		if err := backoff.Wait(ctx, pause.Delay(n)); err != nil {
			return err
		}
	}
}

// page takes what is there. If that is nothing, and the shard is open, changed is closed as soon as it is worth another look.
func (r *reader) page(w consumer.Want) (p consumer.Page, changed <-chan struct{}, err error) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.find(r.stream, r.shard)
	if err != nil {
		return consumer.Page{}, nil, err
	}
	if r.cursor.index < sh.trimmed {
		return consumer.Page{}, nil, sh.gone(r.through)
	}
	before, at := r.through, r.cursor
	r.take(sh, bound(w, s.cfg), &p)
	if n := s.short(r.shard, len(p.Records)); n < len(p.Records) {
		r.through, r.cursor = before, at
		r.take(sh, bound(consumer.Want{Records: n, Bytes: w.Bytes}, s.cfg), &p)
	}
	if sh.closed && r.cursor.index == sh.trimmed+len(sh.entries) {
		p.End = true
		p.Children = s.hide(OpNext, r.shard, sh.continuations())
		return p, nil, nil
	}
	if p.Through == before {
		changed = sh.changed
	}
	return p, changed, nil
}

// bound puts the source's own bounds where w has none or wider ones.
func bound(w consumer.Want, c Config) consumer.Want {
	if w.Records <= 0 || w.Records > c.PageRecords {
		w.Records = c.PageRecords
	}
	if w.Bytes <= 0 || w.Bytes > c.PageBytes {
		w.Bytes = c.PageBytes
	}
	return w
}

// take moves the reader over as many records as fit into a page, and over aggregates of none, and makes the page of them. The caller holds the source's mutex.
func (r *reader) take(sh *shard, w consumer.Want, p *consumer.Page) {
	*p = consumer.Page{}
	var held int
	for r.cursor.index < sh.trimmed+len(sh.entries) {
		e := &sh.entries[r.cursor.index-sh.trimmed]
		if r.cursor.sub == len(e.data) {
			r.through = e.last()
			r.cursor = cursor{index: r.cursor.index + 1}
			continue
		}
		data := e.data[r.cursor.sub]
		size := int64(recordSize + len(e.key) + len(data))
		n := len(p.Records)
		if n == w.Records || n > 0 && p.Bytes+size > w.Bytes {
			break
		}
		if n == 0 {
			p.Records = make([]consumer.Record, 0, min(w.Records, sh.trimmed+len(sh.entries)-r.cursor.index))
		}
		r.cursor.sub++
		r.through = e.position(r.cursor.sub)
		held += len(data)
		p.Bytes += size
		p.Behind = sh.entries[len(sh.entries)-1].arrived.Sub(e.arrived)
		p.Records = append(p.Records, consumer.Record{})
		rec := &p.Records[n]
		rec.Stream, rec.Shard, rec.Key, rec.Position, rec.Arrived, rec.Data = r.stream.Incarnation, sh.id, e.key, r.through, e.arrived, data
	}
	r.lend(p, held)
}

// lend ends a page: it copies its data, which is so long, into a buffer that is the page's until it is released.
func (r *reader) lend(p *consumer.Page, held int) {
	p.Through = r.through
	if len(p.Records) == 0 {
		return
	}
	buffer := make([]byte, 0, held)
	for i := range p.Records {
		at := len(buffer)
		buffer = append(buffer, p.Records[i].Data...)
		p.Records[i].Data = buffer[at:len(buffer):len(buffer)]
	}
	p.Release = func() {
		for i := range buffer {
			buffer[i] = poison
		}
	}
}

// Close makes the reader useless. It holds nothing else.
func (r *reader) Close() error {
	r.closed = true
	return nil
}
