package sourcetest

import (
	"context"
	"iter"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// bent is a source with a fault. Each func is the source's own way if nil.
type bent struct {
	consumer.Source
	stream func(consumer.Stream, error) (consumer.Stream, error)
	as     func(ctx context.Context, st consumer.Stream) consumer.Stream // which stream calls about st are about
	pin    func(at, pinned checkpoint.Start) checkpoint.Start
	shards func([]consumer.Shard) []consumer.Shard
	open   func(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error)
	next   func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error)
	page   func(r *bentReader, p *consumer.Page) // instead of next: what became of a page
}

func (b *bent) Stream(ctx context.Context) (consumer.Stream, error) {
	st, err := b.Source.Stream(ctx)
	if b.stream != nil {
		return b.stream(st, err)
	}
	return st, err
}

func (b *bent) actual(ctx context.Context, st consumer.Stream) consumer.Stream {
	if b.as == nil {
		return st
	}
	return b.as(ctx, st)
}

func (b *bent) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	pinned, err := b.Source.Pin(ctx, b.actual(ctx, st), at)
	if b.pin != nil {
		pinned = b.pin(at, pinned)
	}
	return pinned, err
}

func (b *bent) Shards(ctx context.Context, st consumer.Stream) iter.Seq2[consumer.Shard, error] {
	st = b.actual(ctx, st)
	if b.shards == nil {
		return b.Source.Shards(ctx, st)
	}
	return func(yield func(consumer.Shard, error) bool) {
		var list []consumer.Shard
		for sh, err := range b.Source.Shards(ctx, st) {
			if err != nil {
				yield(sh, err)
				return
			}
			list = append(list, sh)
		}
		for _, sh := range b.shards(list) {
			if !yield(sh, nil) {
				return
			}
		}
	}
}

func (b *bent) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	open := b.Source.Open
	if b.open != nil {
		open = b.open
	}
	r, err := open(ctx, b.actual(ctx, st), sh, at)
	if err != nil {
		return nil, err
	}
	return &bentReader{Reader: r, source: b, stream: st, shard: sh, at: at}, nil
}

// bentReader is a reader of a bent source, with room for what its fault must remember.
type bentReader struct {
	consumer.Reader
	source *bent
	stream consumer.Stream
	shard  consumer.Shard
	at     checkpoint.Start

	calls  int
	failed bool
	last   consumer.Page
	held   []consumer.Record
}

func (r *bentReader) Next(ctx context.Context, w consumer.Want) (consumer.Page, error) {
	r.calls++
	if r.source.next != nil {
		return r.source.next(r, ctx, w)
	}
	p, err := r.Reader.Next(ctx, w)
	if err == nil && r.source.page != nil {
		r.source.page(r, &p)
	}
	return p, err
}

// reopen begins again at a start, as a reader with a fault does.
func (r *bentReader) reopen(ctx context.Context, at checkpoint.Start) error {
	fresh, err := r.source.Source.Open(ctx, r.stream, r.shard, at)
	if err == nil {
		r.Reader = fresh
	}
	return err
}

// without leaves out of a page the records that drop names.
func without(p *consumer.Page, drop func(consumer.Record) bool) {
	p.Records = slices.DeleteFunc(p.Records, drop)
}

// nowhere is a reader of a shard that does not exist.
type nowhere struct{}

func (nowhere) Next(context.Context, consumer.Want) (consumer.Page, error) {
	return consumer.Page{End: true}, nil
}
func (nowhere) Close() error { return nil }
