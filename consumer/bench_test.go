package consumer_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease/memlease"
)

// ready is a stream of one shard whose pages are all made before it is read: what a consumer of it costs is the runtime's own share.
type ready struct {
	records []consumer.Record
	bytes   int64 // of a record
	at      int
}

func newReady(n int, size int64) *ready {
	s := &ready{records: make([]consumer.Record, n), bytes: size}
	data := make([]byte, size)
	for i := range s.records {
		s.records[i] = consumer.Record{
			Stream: "ready:1", Shard: "shardId-000000000000", Key: "key",
			Position: checkpoint.Offset(1_000_000_000_000_000_000 + uint64(i)), Arrived: time.Unix(0, 0), Data: data,
		}
	}
	return s
}

func (s *ready) Stream(context.Context) (consumer.Stream, error) {
	return consumer.Stream{Name: "ready", Incarnation: "ready:1", KeyOrder: true}, nil
}

func (s *ready) Shards(context.Context, consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		yield(consumer.Shard{ID: "shardId-000000000000"}, nil)
	}
}

func (s *ready) Pin(_ context.Context, _ consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return at, nil
}

func (s *ready) Open(context.Context, consumer.Stream, consumer.Shard, checkpoint.Start) (consumer.Reader, error) {
	return s, nil
}

func (s *ready) Next(ctx context.Context, w consumer.Want) (consumer.Page, error) {
	n := min(len(s.records)-s.at, w.Records, int(w.Bytes/s.bytes), 1000)
	if n == 0 {
		<-ctx.Done()
		return consumer.Page{}, ctx.Err()
	}
	page := s.records[s.at : s.at+n]
	s.at += n
	return consumer.Page{Records: page, Through: page[n-1].Position, Bytes: int64(n) * s.bytes}, nil
}

func (s *ready) Close() error { return nil }

// BenchmarkOwnShare is what the runtime spends on a record, between the source and a handler that does nothing.
func BenchmarkOwnShare(b *testing.B) {
	nothing := map[string]func(done func(int)) consumer.Handler{
		"batch": func(done func(int)) consumer.Handler {
			return consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error { done(len(rs)); return nil })
		},
		"each": func(done func(int)) consumer.Handler {
			return consumer.Each(func(context.Context, consumer.Record) error { done(1); return nil })
		},
	}
	for name, handler := range nothing {
		b.Run(fmt.Sprintf("handler=%s", name), func(b *testing.B) {
			source := newReady(b.N, 1000)
			ctx, cancel := context.WithCancel(b.Context())
			n := 0
			cfg := consumer.Config{Name: "bench", Source: source, Leases: memlease.New(), Handler: handler(func(done int) {
				if n += done; n == b.N {
					cancel()
				}
			})}
			b.ReportAllocs()
			b.ResetTimer()
			if err := consumer.Run(ctx, cfg); err != nil {
				b.Fatal(err)
			}
		})
	}
}
