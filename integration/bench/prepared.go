package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// prepared is a source that hands out pages that were made before: what is left of the time is the framework's own. Its records have no data.
type prepared struct {
	pages [][]consumer.Record
	sizes int64 // of each page
}

var _ consumer.Source = (*prepared)(nil)

// prepare makes so many records, in pages of size.
func prepare(records, size int) *prepared {
	p := &prepared{sizes: int64(size) * 1024}
	for i := range records {
		if i%size == 0 {
			p.pages = append(p.pages, make([]consumer.Record, 0, size))
		}
		at, err := checkpoint.Sequence(fmt.Sprintf("4966%052d", i))
		if err != nil {
			panic(err) // it has only digits
		}
		last := &p.pages[len(p.pages)-1]
		*last = append(*last, consumer.Record{Stream: "prepared", Shard: "shard", Key: "key", Position: at})
	}
	return p
}

func (p *prepared) Stream(context.Context) (consumer.Stream, error) {
	return consumer.Stream{Name: "prepared", Incarnation: "prepared", KeyOrder: true}, nil
}

func (p *prepared) Shards(context.Context, consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) { yield(consumer.Shard{ID: "shard"}, nil) }
}

func (p *prepared) Pin(_ context.Context, _ consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return at, nil
}

func (p *prepared) Open(context.Context, consumer.Stream, consumer.Shard, checkpoint.Start) (consumer.Reader, error) {
	return &preparedReader{source: p}, nil
}

type preparedReader struct {
	source *prepared
	next   int
}

// Next gives whole pages, whatever is wanted, and waits at the end.
func (r *preparedReader) Next(ctx context.Context, _ consumer.Want) (consumer.Page, error) {
	if r.next == len(r.source.pages) {
		<-ctx.Done()
		return consumer.Page{}, context.Cause(ctx)
	}
	page := r.source.pages[r.next]
	r.next++
	return consumer.Page{Records: page, Through: page[len(page)-1].Position, Bytes: r.source.sizes}, nil
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
