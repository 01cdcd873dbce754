package sourcetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// fault is a source that breaks a promise, and the test of the suite that must see it, with a part of what it says.
type fault struct {
	name string
	test string
	says string
	bend func(s *Stream, m *memsource.Source)
}

// inPages is a fault of what becomes of a page.
func inPages(name, test, says string, page func(r *bentReader, p *consumer.Page)) fault {
	return fault{name, test, says, func(s *Stream, m *memsource.Source) {
		b := &bent{Source: m, page: page}
		s.Source = func() consumer.Source { return b }
	}}
}

// inNext is a fault of how a reader gets its page.
func inNext(name, test, says string, next func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error)) fault {
	return fault{name, test, says, func(s *Stream, m *memsource.Source) {
		b := &bent{Source: m, next: next}
		s.Source = func() consumer.Source { return b }
	}}
}

// inRecords is a fault of single records.
func inRecords(name, test, says string, change func(r *consumer.Record)) fault {
	return inPages(name, test, says, func(_ *bentReader, p *consumer.Page) {
		for i := range p.Records {
			change(&p.Records[i])
		}
	})
}

// inListing is a fault of the listing of shards.
func inListing(name, test, says string, shards func([]consumer.Shard) []consumer.Shard) fault {
	return fault{name, test, says, func(s *Stream, m *memsource.Source) {
		b := &bent{Source: m, shards: shards}
		s.Source = func() consumer.Source { return b }
	}}
}

// inStarts is a fault of where a shard is opened.
func inStarts(name, test, says string, start func(at checkpoint.Start) checkpoint.Start) fault {
	return inOpen(name, test, says, func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
		return m.Open(ctx, st, sh, start(at))
	})
}

func inOpen(name, test, says string, open func(*memsource.Source, context.Context, consumer.Stream, consumer.Shard, checkpoint.Start) (consumer.Reader, error)) fault {
	return fault{name, test, says, func(s *Stream, m *memsource.Source) {
		b := &bent{Source: m}
		b.open = func(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			return open(m, ctx, st, sh, at)
		}
		s.Source = func() consumer.Source { return b }
	}}
}

func inPin(name, test, says string, pin func(at, pinned checkpoint.Start) checkpoint.Start) fault {
	return fault{name, test, says, func(s *Stream, m *memsource.Source) {
		b := &bent{Source: m, pin: pin}
		s.Source = func() consumer.Source { return b }
	}}
}

// TestFaultsAreCaught is what the suite's own worth rests on.
func TestFaultsAreCaught(t *testing.T) {
	t.Parallel()
	for _, f := range slices.Concat(pageFaults(), recordFaults(), shardFaults(), startFaults(), lifeFaults(), codecFaults()) {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			failures := judge(t.Context(), memory(f.bend)).failures
			if !strings.Contains(strings.Join(failures[f.test], "\n"), f.says) {
				t.Errorf("a source that %s: %s does not say %q; failures: %v", f.name, f.test, f.says, failures)
			}
		})
	}
}

func TestNothingIsCaughtWithoutFault(t *testing.T) {
	b := judge(t.Context(), memory(func(*Stream, *memsource.Source) {}))
	if len(b.failures) > 0 || len(b.logs) > 0 {
		t.Errorf("failures %v, logs %v", b.failures, b.logs)
	}
}

// TestLacksAreSaid: an ability is there, or its absence has a reason that is logged.
func TestLacksAreSaid(t *testing.T) {
	d := memory(func(s *Stream, _ *memsource.Source) { s.Trim = nil })
	if got := judge(t.Context(), d).failures["Held"]; len(got) != 1 || !strings.Contains(got[0], "ability Trim") {
		t.Errorf("a function that is absent without a reason: %v", got)
	}
	d.Lacks = map[Ability]string{Trim: "it keeps everything", Shards: "it has one"}
	b := judge(t.Context(), d)
	if len(b.failures) > 0 {
		t.Errorf("what is lacked with a reason: %v", b.failures)
	}
	logs := strings.Join(b.logs, "\n")
	for _, want := range []string{"Trimmed is not run", "it keeps everything", "Merged is not run", "it has one"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log does not say %q: %s", want, logs)
		}
	}
	d.Lacks = map[Ability]string{Trim: ""}
	if got := judge(t.Context(), d).failures[""]; len(got) != 1 || !strings.Contains(got[0], "without a reason") {
		t.Errorf("an empty reason: %v", got)
	}
	d.Lacks = map[Ability]string{Trim: "so", Roll: "not really"}
	if got := judge(t.Context(), d).failures["Held"]; len(got) != 1 || !strings.Contains(got[0], "ability Roll") {
		t.Errorf("a reason for what is there: %v", got)
	}
	d.Lacks = map[Ability]string{Trim: "so", "Trm": "so"}
	if got := judge(t.Context(), d).failures["Held"]; len(got) != 1 || !strings.Contains(got[0], `"Trm"`) {
		t.Errorf("a reason for an ability that there is not: %v", got)
	}
}

func pageFaults() []fault {
	return []fault{
		inPages("drops the records of the last page", "Ended/Closed", "gave", func(_ *bentReader, p *consumer.Page) {
			if p.End {
				p.Records = nil
			}
		}),
		inPages("ends an open shard", "Live/Idle", "ended an open shard", func(_ *bentReader, p *consumer.Page) {
			p.End = len(p.Records) == 0
		}),
		inPages("never ends a shard", "Ended", "pages in a row without a record", func(_ *bentReader, p *consumer.Page) {
			p.End, p.Children = false, nil
		}),
		inPages("loses a record between two pages", "Held/EverythingOnce", "without a record", func(r *bentReader, p *consumer.Page) {
			if r.calls > 1 && len(p.Records) > 1 {
				p.Records = p.Records[1:]
			}
		}),
		inPages("swaps two records", "Held/EverythingOnce", "positions rise strictly", func(_ *bentReader, p *consumer.Page) {
			slices.Reverse(p.Records)
		}),
		inPages("counts no bytes", "Held/EverythingOnce", "counts 0 bytes", func(_ *bentReader, p *consumer.Page) {
			p.Bytes = 0
		}),
		inPages("leaves Through at zero", "Held/EverythingOnce", "before the record given", func(_ *bentReader, p *consumer.Page) {
			p.Through = checkpoint.Position{}
		}),
		inPages("says Through END", "Ended", "Through is END", func(_ *bentReader, p *consumer.Page) {
			if p.End {
				p.Through = checkpoint.End()
			}
		}),
		inPages("lets Through go back on empty pages", "Live/Idle", "went back", func(_ *bentReader, p *consumer.Page) {
			if len(p.Records) == 0 {
				p.Through = checkpoint.Position{}
			}
		}),
		inPages("invents Through before the first record", "Live/PinnedOnEmpty", "nothing was ever put", func(_ *bentReader, p *consumer.Page) {
			if p.Through.IsZero() {
				p.Through = checkpoint.Offset(1)
			}
		}),
		inPages("says a Through beyond what it gave", "Ended/Resumed", "gave", func(r *bentReader, p *consumer.Page) {
			p.Records, p.Release = append(r.held, p.Records...), nil
			r.held = nil
			if n := len(p.Records); n > 1 && !p.End {
				r.held, p.Records = slices.Clone(p.Records[n-1:]), p.Records[:n-1]
			}
		}),
		inPages("overwrites a page when it reads the next", "Held/Buffers", "still held", func(r *bentReader, p *consumer.Page) {
			if r.last.Release != nil {
				r.last.Release()
			}
			r.last = *p
			p.Release = nil
		}),
		inPages("lends its strings", "Held/EverythingOnce", "after its page was released", func(_ *bentReader, p *consumer.Page) {
			var buffer []byte
			for _, rec := range p.Records {
				buffer = append(buffer, rec.Key...)
			}
			at := 0
			for i, rec := range p.Records {
				if n := len(rec.Key); n > 0 {
					p.Records[i].Key = unsafe.String(&buffer[at], n)
					at += n
				}
			}
			if before := p.Release; before != nil {
				p.Release = func() { clear(buffer); before() }
			}
		}),
		inNext("gives each page twice", "Held/EverythingOnce", "positions rise strictly", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			if r.calls%2 == 0 {
				return r.last, nil
			}
			p, err := r.Reader.Next(ctx, w)
			p.Release = nil
			r.last = p
			return p, err
		}),
		inNext("ignores the bound on records", "Held/Bounds", "wanted at most 1", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			return r.Reader.Next(ctx, consumer.Want{Bytes: w.Bytes})
		}),
		inNext("ignores the bound on bytes", "Held/Bounds", "bytes or a single record", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			return r.Reader.Next(ctx, consumer.Want{Records: w.Records})
		}),
		inNext("ends a cancelled wait with an empty page", "Live/Cancelled", "gives pages though", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			p, err := r.Reader.Next(ctx, w)
			if ctx.Err() != nil {
				return consumer.Page{}, nil
			}
			return p, err
		}),
		inNext("ignores its context", "Live/Cancelled", "gives pages though", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			return r.Reader.Next(context.WithoutCancel(ctx), w)
		}),
		inNext("does not tell the cause", "Live/Cancelled", "context canceled", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			p, err := r.Reader.Next(ctx, w)
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return p, err
		}),
		inNext("loses its place when it is cancelled", "Live/Cancelled", "without a record", func(r *bentReader, ctx context.Context, w consumer.Want) (consumer.Page, error) {
			p, err := r.Reader.Next(ctx, w)
			if r.failed {
				p.Records = nil
			}
			r.failed = r.failed || err != nil
			return p, err
		}),
	}
}

func recordFaults() []fault {
	return []fault{
		inRecords("leaves out Stream", "Held/EverythingOnce", "a record of stream", func(r *consumer.Record) { r.Stream = "" }),
		inRecords("leaves out Shard", "Held/EverythingOnce", "a record of stream", func(r *consumer.Record) { r.Shard = "" }),
		inRecords("leaves out Key", "Held/EverythingOnce", "Record.Key", func(r *consumer.Record) { r.Key = "" }),
		inRecords("leaves out Arrived", "Held/EverythingOnce", "no time of arrival", func(r *consumer.Record) { r.Arrived = time.Time{} }),
		inRecords("leaves out Position", "Held/EverythingOnce", "positions rise strictly", func(r *consumer.Record) { r.Position = checkpoint.Position{} }),
		inRecords("gives END as a position", "Held/EverythingOnce", "none is END", func(r *consumer.Record) { r.Position = checkpoint.End() }),
		inRecords("rounds its sequence numbers", "Held/EverythingOnce", "positions rise strictly", func(r *consumer.Record) {
			seq := r.Position.Sequence()
			r.Position = mustPosition(seq[:len(seq)-3] + "000")
		}),
		inRecords("forgets the place in an aggregate", "Aggregated", "positions rise strictly", func(r *consumer.Record) {
			r.Position = mustPosition(r.Position.Sequence())
		}),
		{"gives the records of a key two keys", "Held/EverythingOnce", "the records of a key have one", func(s *Stream, m *memsource.Source) {
			b := &bent{Source: m, page: func(_ *bentReader, p *consumer.Page) {
				for i := range p.Records {
					p.Records[i].Key += string(p.Records[i].Data)
				}
			}}
			s.Source = func() consumer.Source { return b }
			s.Read = func(r consumer.Record) (string, []byte, error) {
				return strings.TrimSuffix(r.Key, string(r.Data)), r.Data, nil
			}
		}},
		{"gives two keys one key", "Held/EverythingOnce", `Record.Key is "same" for`, func(s *Stream, m *memsource.Source) {
			keys := make(map[string]string)
			put := s.Put
			s.Put = func(ctx context.Context, key string, value []byte) error {
				keys[string(value)] = key
				return put(ctx, key, value)
			}
			b := &bent{Source: m, page: func(_ *bentReader, p *consumer.Page) {
				for i := range p.Records {
					p.Records[i].Key = "same"
				}
			}}
			s.Source = func() consumer.Source { return b }
			s.Read = func(r consumer.Record) (string, []byte, error) { return keys[string(r.Data)], r.Data, nil }
		}},
		{"spreads a key over shards and claims order", "Held/EverythingOnce", "Stream says that keys have an order", func(s *Stream, m *memsource.Source) {
			n := 0
			s.Put = func(_ context.Context, key string, value []byte) error {
				open := m.OpenShards()
				n++
				_, err := m.PutTo(open[n/6%len(open)], key, value)
				return err
			}
		}},
	}
}

func mustPosition(seq string) checkpoint.Position {
	p, err := checkpoint.Sequence(seq)
	if err != nil {
		panic(err)
	}
	return p
}

func shardFaults() []fault {
	return []fault{
		inListing("lists children before parents", "Ended/Children", "before its parent", func(l []consumer.Shard) []consumer.Shard {
			slices.Reverse(l)
			return l
		}),
		inListing("lists a shard twice", "Held/Listing", "each once", func(l []consumer.Shard) []consumer.Shard { return append(l, l[0]) }),
		inListing("does not tell what is closed", "Ended/Children", "the closed shard", func(l []consumer.Shard) []consumer.Shard {
			for i := range l {
				l[i].Closed = false
			}
			return l
		}),
		inListing("lists a merge with one parent", "Merged/BothParents", "the listing has", func(l []consumer.Shard) []consumer.Shard {
			for i := range l {
				l[i].Parents = l[i].Parents[:min(1, len(l[i].Parents))]
			}
			return l
		}),
		inListing("lists no parents", "Ended/Children", "want an open child", func(l []consumer.Shard) []consumer.Shard {
			for i := range l {
				l[i].Parents = nil
			}
			return l
		}),
		inListing("misses a shard", "Held/EverythingOnce", "pages in a row without a record", func(l []consumer.Shard) []consumer.Shard { return l[1:] }),
		inPages("ends with one of two children", "Ended/Children", "ended with the children", func(_ *bentReader, p *consumer.Page) {
			p.Children = p.Children[:min(1, len(p.Children))]
		}),
		inPages("ends without children", "Ended/Children", "ended with the children", func(_ *bentReader, p *consumer.Page) { p.Children = nil }),
		inPages("names a merged child with the shard that ended alone", "Merged/BothParents", "want its parents to be", func(r *bentReader, p *consumer.Page) {
			for i := range p.Children {
				p.Children[i].Parents = []string{r.shard.ID}
			}
		}),
		inOpen("takes an unknown shard for an ended one", "Held/UnknownShard", "no such shard", func(m *memsource.Source, ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
			r, err := m.Open(ctx, st, sh, at)
			if errors.Is(err, consumer.ErrNoShard) {
				return nowhere{}, nil
			}
			return r, err
		}),
		{"has one place for all readers of a shard", "Held/ReadersApart", "without a record", func(s *Stream, m *memsource.Source) {
			s.Source = func() consumer.Source {
				var mu sync.Mutex
				readers := make(map[string]consumer.Reader)
				b := &bent{Source: m}
				b.open = func(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
					mu.Lock()
					defer mu.Unlock()
					if readers[sh.ID] == nil {
						r, err := m.Open(ctx, st, sh, at)
						if err != nil {
							return nil, err
						}
						readers[sh.ID] = open{r}
					}
					return readers[sh.ID], nil
				}
				return b
			}
		}},
	}
}

// open is a reader that closing does not close.
type open struct{ consumer.Reader }

func (open) Close() error { return nil }
