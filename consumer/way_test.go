package consumer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// A filter that panics makes a failing record, and what is ordered behind it waits as behind any other.
func TestARecordWhoseFilterPanicsKeepsItsPlace(t *testing.T) {
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey} {
		t.Run(by.String(), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				asked := 0
				cfg := w.config()
				cfg.Order.By = by
				cfg.Filter = func(r consumer.Record) bool {
					if string(r.Data) == "3" {
						if asked++; asked < 4 {
							panic("odd")
						}
					}
					return true
				}
				cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
					for _, r := range rs {
						w.saw(r)
					}
					return nil
				})
				w.put(0, 10)
				c := w.start(cfg)
				w.expect(numbers(0, 10))
				c.clean()
			})
		})
	}
}

// aging is a source of records some of which are older than those before them.
type aging struct {
	consumer.Source
	old []string
}

func (s aging) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	r, err := s.Source.Open(ctx, st, sh, at)
	return agingReader{r, s.old}, err
}

type agingReader struct {
	consumer.Reader
	old []string
}

func (r agingReader) Next(ctx context.Context, want consumer.Want) (consumer.Page, error) {
	p, err := r.Reader.Next(ctx, want)
	for i := range p.Records {
		if slices.Contains(r.old, string(p.Records[i].Data)) {
			p.Records[i].Arrived = p.Records[i].Arrived.Add(-24 * time.Hour)
		}
	}
	return p, err
}

// Where age does not fall from record to record, a batch can hold a key's record that is too old between two that are not: the key is parked by it, and the last one must not pass it.
func TestARecordThatIsTooOldIsPassedByNoneOfItsKey(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store := memletters.New()
		cfg := w.config()
		cfg.Source = aging{w.source, []string{"1"}}
		cfg.Order.By = consumer.PerKey
		cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: store, MaxAge: time.Hour}
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(0, 4)
		c := w.start(cfg)
		w.until("all", func() bool { return len(w.values())+len(w.letters(store)) == 4 })
		c.clean()
		if got := payloads(w.letters(store)); !slices.Equal(got, numbers(1, 4)) || !slices.Equal(w.values(), []string{"0"}) {
			t.Errorf("the letters are %v, and the handler got %v", got, w.values())
		}
	})
}

// narrow is a store that takes no more than so many letters at once.
type narrow struct {
	*memletters.Store
	most int
}

func (n narrow) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if len(ls) > n.most {
		return errNo
	}
	return n.Store.Park(ctx, ls, open)
}

// A parked key's records come in batches as large as the handler's, which a store may be unable to take in the time it has.
func TestLettersThatAreTooManyAtOnceAreStoredInParts(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store := narrow{memletters.New(), 10}
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Batch.Size = 100
		cfg.Failure = consumer.Failure{MaxAttempts: 1, Split: consumer.Bisect, Then: consumer.ParkKey, Letters: store}
		cfg.Handler = consumer.HandlerFunc(func(context.Context, []consumer.Record) error { return errNo })
		w.put(0, 100)
		c := w.start(cfg)
		w.until("all letters", func() bool { return len(w.letters(store)) == 100 })
		c.clean()
		if got := payloads(w.letters(store)); !slices.Equal(got, numbers(0, 100)) {
			t.Errorf("the letters are %v", got)
		}
	})
}

// What a redrive adds to a letter's history is the handler's error, as in the letter itself, and nothing of how it is passed on.
func TestTheHistoryOfALetterHasTheHandlersError(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store := memletters.New()
		cfg := w.config()
		cfg.Failure = consumer.Failure{MaxAttempts: 1, Then: consumer.DeadLetter, Letters: store}
		cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error { return errNo })
		w.put(0, 1)
		c := w.start(cfg)
		w.until("the letter", func() bool { return len(w.letters(store)) == 1 })
		if _, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil {
			t.Fatal(err)
		}
		c.clean()
		l := w.letters(store)[0]
		if len(l.History) != 1 || !slices.Equal(l.History[0].Errors, l.Errors) {
			t.Errorf("the letter has %q, its history %+v", l.Errors, l.History)
		}
	})
}
