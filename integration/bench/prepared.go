package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// prepared is a source with nothing of its own to do: it fills pages that it has back with records that were thought out before. So what is left of the
// time is the framework's own. Its records have no data.
type prepared struct {
	positions []checkpoint.Position
	size      int // records of a page
	shard     string
	keys      []string // of its records, again and again

	mu   sync.Mutex
	free [][]consumer.Record // pages that were released
}

var _ consumer.Source = (*prepared)(nil)

// prepare makes a source of so many records, in pages of size.
func prepare(records, size int) *prepared {
	p := &prepared{positions: make([]checkpoint.Position, records), size: size, shard: "shard", keys: []string{"key"}}
	for i := range p.positions {
		var err error
		if p.positions[i], err = checkpoint.Sequence(fmt.Sprintf("4966%052d", i)); err != nil {
			panic(err) // it has only digits
		}
	}
	return p
}

func (p *prepared) take() []consumer.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		return page[:0]
	}
	return make([]consumer.Record, 0, p.size)
}

func (p *prepared) put(page []consumer.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, page)
}

func (p *prepared) Stream(context.Context) (consumer.Stream, error) {
	return consumer.Stream{Name: "prepared", Incarnation: "prepared", KeyOrder: true}, nil
}

func (p *prepared) Shards(context.Context, consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) { yield(consumer.Shard{ID: p.shard}, nil) }
}

func (p *prepared) Pin(_ context.Context, _ consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return at, nil
}

func (p *prepared) Open(context.Context, consumer.Stream, consumer.Shard, checkpoint.Start) (consumer.Reader, error) {
	return &preparedReader{source: p}, nil
}

// preparedSize is what a record is said to hold in memory.
const preparedSize = 1024

type preparedReader struct {
	source *prepared
	next   int
}

// Next gives whole pages, whatever is wanted, and waits at the end.
func (r *preparedReader) Next(ctx context.Context, _ consumer.Want) (consumer.Page, error) {
	s := r.source
	left := s.positions[r.next:]
	if len(left) == 0 {
		<-ctx.Done()
		return consumer.Page{}, context.Cause(ctx)
	}
	left = left[:min(len(left), s.size)]
	page := s.take()
	for i, at := range left {
		page = append(page, consumer.Record{Stream: "prepared", Shard: s.shard, Key: s.keys[(r.next+i)%len(s.keys)], Position: at})
	}
	r.next += len(left)
	return consumer.Page{
		Records: page, Through: left[len(left)-1], Bytes: int64(len(left)) * preparedSize,
		Release: func() { s.put(page) },
	}, nil
}

func (r *preparedReader) Close() error { return nil }

// readAlone reads a source without the framework: what the source costs by itself.
func readAlone(ctx context.Context, source consumer.Source, records int64) (int64, error) {
	st, err := source.Stream(ctx)
	if err != nil {
		return 0, err
	}
	c := newCounter(records, func() {})
	for shard, err := range source.Shards(ctx, st) {
		if err != nil {
			return c.n.Load(), err
		}
		err = readShard(ctx, source, st, shard, c)
		if err != nil {
			return c.n.Load(), err
		}
	}
	return c.n.Load(), nil
}

func readShard(ctx context.Context, source consumer.Source, st consumer.Stream, shard consumer.Shard, c *counter) (err error) {
	rd, err := source.Open(ctx, st, shard, checkpoint.Start{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()
	for c.n.Load() < c.all {
		page, err := rd.Next(ctx, consumer.Want{Bytes: 4 << 20})
		if err != nil {
			return err
		}
		for range page.Records {
			c.add(1)
		}
		if page.Release != nil {
			page.Release()
		}
	}
	return nil
}
