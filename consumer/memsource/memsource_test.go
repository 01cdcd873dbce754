package memsource_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must is v, of a call that does not fail unless the test is wrong.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func open(t *testing.T, s *memsource.Source, shard string, at checkpoint.Start) consumer.Reader {
	t.Helper()
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	return must[consumer.Reader](t)(s.Open(t.Context(), st, consumer.Shard{ID: shard}, at))
}

func next(t *testing.T, r consumer.Reader) consumer.Page {
	t.Helper()
	return must[consumer.Page](t)(r.Next(t.Context(), consumer.Want{}))
}

func data(p consumer.Page) []string {
	var all []string
	for _, r := range p.Records {
		all = append(all, string(r.Data))
	}
	return all
}

// fill puts records into the first shard and returns its ID and their positions.
func fill(t *testing.T, s *memsource.Source, values ...string) (shard string, ps []checkpoint.Position) {
	t.Helper()
	shard = s.OpenShards()[0]
	for _, v := range values {
		ps = append(ps, must[checkpoint.Position](t)(s.PutTo(shard, "key", []byte(v))))
	}
	return shard, ps
}

func mustGive(t *testing.T, p consumer.Page, want ...string) {
	t.Helper()
	if got := data(p); !slices.Equal(got, want) {
		t.Errorf("the page has %v, want %v", got, want)
	}
}

// mustTake reports it if f does not take exactly so long.
func mustTake(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took != want {
		t.Errorf("it took %v, want %v", took, want)
	}
}

func TestIdleReaderKeepsItsPace(t *testing.T) {
	for _, c := range []struct{ poll, want time.Duration }{{0, 2 * time.Second}, {3 * time.Second, 3 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			s := memsource.New("orders", &memsource.Config{Poll: c.poll})
			r := open(t, s, s.OpenShards()[0], checkpoint.Start{})
			for range 3 {
				mustTake(t, c.want, func() { mustGive(t, next(t, r)) })
			}
		})
	}
}

func TestIdleReaderHearsOfARecordAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", &memsource.Config{Poll: time.Hour})
		r := open(t, s, s.OpenShards()[0], checkpoint.Start{})
		page := make(chan consumer.Page)
		go func() {
			p, err := r.Next(t.Context(), consumer.Want{})
			if err != nil {
				t.Error(err)
			}
			page <- p
		}()
		synctest.Wait()
		mustTake(t, 0, func() {
			fill(t, s, "a")
			mustGive(t, <-page, "a")
		})
	})
}

func TestIdleReaderHearsOfTheEndAtOnce(t *testing.T) {
	for name, act := range map[string]func(s *memsource.Source, shard string) error{
		"close":  (*memsource.Source).CloseShard,
		"roll":   func(s *memsource.Source, shard string) error { _, err := s.Roll(shard); return err },
		"vanish": (*memsource.Source).Vanish,
		"delete": func(s *memsource.Source, _ string) error { s.Delete(); return nil },
		"create": func(s *memsource.Source, _ string) error { s.Create(); return nil },
	} {
		want := map[string]error{"vanish": consumer.ErrNoShard, "delete": consumer.ErrNoStream, "create": consumer.ErrNoStream}[name]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memsource.New("orders", &memsource.Config{Poll: time.Hour})
				shard := s.OpenShards()[0]
				r := open(t, s, shard, checkpoint.Start{})
				failed := make(chan error)
				go func() {
					p, err := r.Next(t.Context(), consumer.Want{})
					if err == nil && !p.End {
						err = errors.New("a page that does not end the shard")
					}
					failed <- err
				}()
				synctest.Wait()
				mustTake(t, 0, func() {
					if err := act(s, shard); err != nil {
						t.Error(err)
					}
					if err := <-failed; !errors.Is(err, want) {
						t.Errorf("Next: %v, want %v", err, want)
					}
				})
			})
		})
	}
}

func TestReleasedDataIsOverwritten(t *testing.T) {
	s := memsource.New("orders", nil)
	shard, _ := fill(t, s, "value")
	first, second := next(t, open(t, s, shard, checkpoint.Start{})), next(t, open(t, s, shard, checkpoint.Start{}))
	first.Release()
	mustGive(t, first, "\xdd\xdd\xdd\xdd\xdd")
	mustGive(t, second, "value")
}

func TestSequenceNumbersFitNoIntegerAndGrow(t *testing.T) {
	s := memsource.New("orders", nil)
	_, ps := fill(t, s, "a", "b", "c", "d", "e", "f", "g", "h")
	first, last := ps[0].Sequence(), ps[7].Sequence()
	if len(first) != 55 || len(last) != 56 || first < last {
		t.Errorf("from %s to %s: want 55 digits, then 56, and the wrong order as text", first, last)
	}
}

// TestResumedInsideAnAggregate is hazard 10: a position inside an aggregate survives a crash in the middle of it.
func TestResumedInsideAnAggregate(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	last := must[checkpoint.Position](t)(s.PutAggregate(shard, "key", []byte("a"), []byte("b"), []byte("c")))
	fill(t, s, "d")
	second := must[checkpoint.Position](t)(checkpoint.Aggregated(last.Sequence(), 2))
	whole := must[checkpoint.Position](t)(checkpoint.Sequence(last.Sequence()))
	mustGive(t, next(t, open(t, s, shard, checkpoint.After(second))), "c", "d")
	mustGive(t, next(t, open(t, s, shard, checkpoint.After(last))), "d")
	mustGive(t, next(t, open(t, s, shard, checkpoint.After(whole))), "d")
}

func TestThroughMovesOverAnAggregateOfNone(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	none := must[checkpoint.Position](t)(s.PutAggregate(shard, "key"))
	p := next(t, open(t, s, shard, checkpoint.Start{}))
	mustGive(t, p)
	if p.Through != none {
		t.Errorf("Through is %s, want %s", p.Through, none)
	}
	fill(t, s, "a")
	mustGive(t, next(t, open(t, s, shard, checkpoint.After(none))), "a")
}

func TestPositionThatWasNeverGivenIsRefused(t *testing.T) {
	s := memsource.New("orders", nil)
	shard, ps := fill(t, s, "a", "b")
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	inside := must[checkpoint.Position](t)(checkpoint.Aggregated(ps[0].Sequence(), 1))
	for _, p := range []checkpoint.Position{checkpoint.Offset(7), checkpoint.End(), inside} {
		if r, err := s.Open(t.Context(), st, consumer.Shard{ID: shard}, checkpoint.After(p)); err == nil || errors.Is(err, consumer.ErrTrimmed) {
			t.Errorf("open after %s: %v, %v; want an error that is no trimming", p, r, err)
		}
	}
}

func TestTrimmedUpToAPosition(t *testing.T) {
	s := memsource.New("orders", nil)
	shard, ps := fill(t, s, "a", "b", "c")
	behind := open(t, s, shard, checkpoint.Start{})
	if err := s.Trim(shard, ps[1]); err != nil {
		t.Fatal(err)
	}
	st := must[consumer.Stream](t)(s.Stream(t.Context()))
	for _, p := range ps[:2] {
		if _, err := s.Open(t.Context(), st, consumer.Shard{ID: shard}, checkpoint.After(p)); !errors.Is(err, consumer.ErrTrimmed) {
			t.Errorf("open after the trimmed %s: %v", p, err)
		}
	}
	if _, err := behind.Next(t.Context(), consumer.Want{}); !errors.Is(err, consumer.ErrTrimmed) {
		t.Errorf("a reader that fell behind: %v", err)
	}
	mustGive(t, next(t, open(t, s, shard, checkpoint.Start{})), "c")
	if p := next(t, open(t, s, shard, checkpoint.After(ps[2]))); len(p.Records) > 0 {
		t.Errorf("after the last record: %v", data(p))
	}
}

func TestInstantsCountFromWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memsource.New("orders", nil)
		shard, ps := fill(t, s, "a", "b")
		mustGive(t, next(t, open(t, s, shard, checkpoint.After(ps[1]))))
		at := checkpoint.AtTime(time.Now())
		fill(t, s, "c")
		if err := s.Trim(shard, ps[0]); err != nil {
			t.Fatal(err)
		}
		mustGive(t, next(t, open(t, s, shard, at)), "c")
	})
}

func TestPutKeepsNoneOfItsCallersBytes(t *testing.T) {
	s := memsource.New("orders", nil)
	value := []byte("a")
	shard, _, err := s.Put("key", value)
	if err != nil {
		t.Fatal(err)
	}
	value[0] = 'b'
	mustGive(t, next(t, open(t, s, shard, checkpoint.Start{})), "a")
}

func TestStreamReportsItsConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  *memsource.Config
		want consumer.Stream
	}{
		{nil, consumer.Stream{Name: "orders", Retention: 24 * time.Hour, KeyOrder: true}},
		{&memsource.Config{Retention: time.Hour, Unordered: true}, consumer.Stream{Name: "orders", Retention: time.Hour}},
	} {
		got := must[consumer.Stream](t)(memsource.New("orders", c.cfg).Stream(t.Context()))
		if c.want.Incarnation = got.Incarnation; got != c.want || got.Incarnation == "" {
			t.Errorf("Stream is %+v, want %+v", got, c.want)
		}
	}
}

func TestAnAggregateIsTrimmedWhenAllOfItIs(t *testing.T) {
	s := memsource.New("orders", nil)
	shard := s.OpenShards()[0]
	last := must[checkpoint.Position](t)(s.PutAggregate(shard, "key", []byte("a"), []byte("b")))
	first := must[checkpoint.Position](t)(checkpoint.Aggregated(last.Sequence(), 1))
	if err := s.Trim(shard, first); err != nil {
		t.Fatal(err)
	}
	mustGive(t, next(t, open(t, s, shard, checkpoint.After(first))), "b")
	if err := s.Trim(shard, last); err != nil {
		t.Fatal(err)
	}
	mustGive(t, next(t, open(t, s, shard, checkpoint.Start{})))

	second := must[checkpoint.Position](t)(s.PutAggregate(shard, "key", []byte("c"), []byte("d")))
	if err := s.Trim(shard, must[checkpoint.Position](t)(checkpoint.Sequence(second.Sequence()))); err != nil {
		t.Fatal(err)
	}
	mustGive(t, next(t, open(t, s, shard, checkpoint.Start{})))
}

func shardsOf(t *testing.T, s *memsource.Source, keys []string) map[string]string {
	t.Helper()
	of := make(map[string]string)
	for _, k := range keys {
		shard, _, err := s.Put(k, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		of[k] = shard
	}
	return of
}

func distinct(of map[string]string) map[string]bool {
	set := make(map[string]bool)
	for _, shard := range of {
		set[shard] = true
	}
	return set
}

func TestClosedReaderSaysSo(t *testing.T) {
	s := memsource.New("orders", nil)
	r := open(t, s, s.OpenShards()[0], checkpoint.Start{})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(context.Background(), consumer.Want{}); !errors.Is(err, memsource.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
}
