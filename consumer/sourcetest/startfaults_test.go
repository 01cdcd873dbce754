package sourcetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// from opens a shard at its oldest record and leaves out what keep does not want.
func from(ctx context.Context, m *memsource.Source, st consumer.Stream, sh consumer.Shard, keep func(consumer.Record) bool) (consumer.Reader, error) {
	b := &bent{Source: m, page: func(_ *bentReader, p *consumer.Page) {
		without(p, func(r consumer.Record) bool { return !keep(r) })
	}}
	return b.Open(ctx, st, sh, checkpoint.Start{})
}

func startFaults() []fault {
	whole := func(at checkpoint.Start) bool {
		return at.Kind() == checkpoint.StartAfter && at.Position().Aggregated() == 0
	}
	return []fault{
		inOpen("resumes at the record instead of after it", "Ended/Resumed", "positions rise strictly", func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			if !whole(at) {
				return m.Open(ctx, st, sh, at)
			}
			return from(ctx, m, st, sh, func(r consumer.Record) bool { return !r.Position.Before(at.Position()) })
		}),
		inOpen("resumes a record too late", "Ended/Resumed", "gave", func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			if !whole(at) {
				return m.Open(ctx, st, sh, at)
			}
			after := 0
			return from(ctx, m, st, sh, func(r consumer.Record) bool {
				if at.Position().Before(r.Position) {
					after++
				}
				return after > 1
			})
		}),
		inStarts("resumes after the whole aggregate", "Aggregated/Resumed", "without a record", func(at checkpoint.Start) checkpoint.Start {
			if at.Position().Aggregated() > 0 {
				return checkpoint.After(mustPosition(at.Position().Sequence()))
			}
			return at
		}),
		inOpen("begins an aggregate again", "Aggregated/Resumed", "positions rise strictly", func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			if at.Position().Aggregated() == 0 {
				return m.Open(ctx, st, sh, at)
			}
			first := mustPosition(at.Position().Sequence())
			return from(ctx, m, st, sh, func(r consumer.Record) bool { return first.Before(r.Position) })
		}),
		inStarts("ignores instants", "Instants/OlderLeftOut", "gave", func(at checkpoint.Start) checkpoint.Start {
			if at.Kind() == checkpoint.StartAtTime {
				return checkpoint.Start{}
			}
			return at
		}),
		inStarts("takes an instant for now", "Instants/NoneMissing", "without a record", func(at checkpoint.Start) checkpoint.Start {
			if at.Kind() == checkpoint.StartAtTime {
				return checkpoint.Latest()
			}
			return at
		}),
		inStarts("leaves out what arrived in the very instant", "Instants/NoneMissing", "gave", func(at checkpoint.Start) checkpoint.Start {
			if at.Kind() == checkpoint.StartAtTime {
				return checkpoint.AtTime(at.Time().Add(1))
			}
			return at
		}),
		inPin("does not pin LATEST", "Live/PinnedOnEmpty", "want an instant", func(at, _ checkpoint.Start) checkpoint.Start { return at }),
		inPin("pins too late", "Live/PinnedOnEmpty", "without a record", func(at, pinned checkpoint.Start) checkpoint.Start {
			return checkpoint.AtTime(time.Now().Add(time.Hour))
		}),
		inPin("pins LATEST to the oldest record", "Instants/OlderLeftOut", "gave", func(at, pinned checkpoint.Start) checkpoint.Start {
			if at.Kind() == checkpoint.StartLatest {
				return checkpoint.Start{}
			}
			return at
		}),
		inPin("pins what is no LATEST", "Held/PinKeepsOthers", "want it as it is", func(at, pinned checkpoint.Start) checkpoint.Start {
			return checkpoint.AtTime(time.Now())
		}),
		inOpen("skips what was trimmed when it opens", "Trimmed/Position", "trimmed", func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			r, err := m.Open(ctx, st, sh, at)
			if errors.Is(err, consumer.ErrTrimmed) {
				return m.Open(ctx, st, sh, checkpoint.Start{})
			}
			return r, err
		}),
		inNext("skips what was trimmed while it reads", "Trimmed/FellBehind", "overtaken", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			p, err := r.Reader.Next(ctx, w)
			if errors.Is(err, consumer.ErrTrimmed) {
				if err := r.reopen(ctx, checkpoint.Start{}); err != nil {
					return p, err
				}
				return r.Reader.Next(ctx, w)
			}
			return p, err
		}),
		expiring("begins again when its iterator expires", "positions rise strictly", func(r *bentReader) checkpoint.Start { return r.at }),
		expiring("skips to the newest record when its iterator expires", "without a record", func(*bentReader) checkpoint.Start { return checkpoint.Latest() }),
		{"tells of an expired iterator", "Iterators/Expired", "expired", func(s *Stream, m *memsource.Source) {
			s.Expire = func(context.Context) error {
				m.Inject(memsource.Fault{Op: memsource.OpNext, Err: errors.New("the iterator has expired"), Times: 1})
				return nil
			}
		}},
	}
}

// expiring is a fault of where a reader goes on whose iterator has expired.
func expiring(name, says string, to func(r *bentReader) checkpoint.Start) fault {
	return fault{name, "Iterators/Expired", says, func(s *Stream, m *memsource.Source) {
		var expired atomic.Bool
		s.Expire = func(context.Context) error {
			expired.Store(true)
			return nil
		}
		b := &bent{Source: m, next: func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			if expired.Swap(false) {
				if err := r.reopen(ctx, to(r)); err != nil {
					return consumer.Page{}, err
				}
			}
			return r.Reader.Next(ctx, w)
		}}
		s.Source = func() consumer.Source { return b }
	}}
}

// lifeFaults are faults of telling streams of one name apart.
func lifeFaults() []fault {
	return []fault{
		{"takes a stream made anew for the old one", "Recreated/AnotherIncarnation", "want one name and two incarnations", func(s *Stream, m *memsource.Source) {
			b := &bent{Source: m}
			b.stream = func(st consumer.Stream, err error) (consumer.Stream, error) {
				st.Incarnation, _, _ = strings.Cut(st.Incarnation, ":")
				return st, err
			}
			b.as = func(ctx context.Context, st consumer.Stream) consumer.Stream {
				if now, err := m.Stream(ctx); err == nil {
					return now
				}
				return st
			}
			s.Source = func() consumer.Source { return b }
		}},
		inOpen("reads the new stream for the old one", "Recreated/AnotherIncarnation", "which is of the new one", func(m *memsource.Source, ctx context.Context, _ consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			now, err := m.Stream(ctx)
			if err != nil {
				return nil, err
			}
			return m.Open(ctx, now, sh, at)
		}),
		inNext("goes on with the new stream", "Recreated/AnotherIncarnation", "which is of the new one", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			p, err := r.Reader.Next(ctx, w)
			if errors.Is(err, consumer.ErrNoStream) {
				if r.stream, err = r.source.Source.Stream(ctx); err != nil {
					return p, err
				}
				if err := r.reopen(ctx, checkpoint.Start{}); err != nil {
					return p, err
				}
				return r.Reader.Next(ctx, w)
			}
			return p, err
		}),
		{"does not tell that there is no stream", "Missing/NoStream", "no such stream", func(s *Stream, m *memsource.Source) {
			b := &bent{Source: m, stream: func(st consumer.Stream, err error) (consumer.Stream, error) {
				if err != nil {
					err = errors.New("not found")
				}
				return st, err
			}}
			s.Source = func() consumer.Source { return b }
		}},
		{"says that a missing stream is a missing shard", "Missing/NoStream", "also ErrNoShard", func(s *Stream, m *memsource.Source) {
			b := &bent{Source: m, stream: func(st consumer.Stream, err error) (consumer.Stream, error) {
				if err != nil {
					err = errors.Join(err, consumer.ErrNoShard)
				}
				return st, err
			}}
			s.Source = func() consumer.Source { return b }
		}},
	}
}
