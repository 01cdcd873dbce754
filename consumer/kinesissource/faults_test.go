package kinesissource_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

func TestHazard36_BrokenAnswersAreReadAgain(t *testing.T) {
	page := func(a awsstub.Answer) awsstub.Answer { a.Cut = true; return a }
	for name, faults := range map[string][]awsstub.Answer{
		"malformed iterator":   {awsstub.Fail(400, "InvalidArgumentException")},
		"malformed, with 500":  {awsstub.Fail(500, "UnknownError"), awsstub.Fail(500, "UnknownError"), awsstub.Fail(500, "UnknownError")},
		"internal error":       {awsstub.Fail(500, "InternalFailureException")},
		"body cut short":       {page(awsstub.OK(map[string]any{"Records": []any{}, "NextShardIterator": shardID(0) + "/9/9"}))},
		"body empty":           {{Status: 200}},
		"no JSON":              {{Status: 200, Body: "<html>"}},
		"gateway":              {{Status: 502, Body: "<html>"}},
		"connection":           {{Err: errConnection}, {Err: errConnection}},
		"no answer":            {{Hang: true}},
		"throttled":            {awsstub.Fail(400, "ProvisionedThroughputExceededException"), awsstub.Fail(400, "LimitExceededException")},
		"nonsense for a place": {awsstub.OK(map[string]any{"Records": []any{map[string]any{"SequenceNumber": "x"}}, "NextShardIterator": "y"})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 9))
				r := open(t, f, checkpoint.Start{})
				places := []string{}
				for i := range 3 {
					f.fail("GetRecords", faults...)
					for len(places) < 3*(i+1) {
						p, err := r.Next(t.Context(), consumer.Want{Records: 3})
						if err == nil {
							places = append(places, readtest.Places(p.Records)...)
						}
					}
				}
				if !slices.Equal(places, numbered(1, 9)) {
					t.Errorf("the records are %v, want each once, in order", places)
				}
			})
		})
	}
}

// A malformed iterator that the endpoint answers with 500 never works again.
func TestHazard36_IteratorIsGivenUpThatOnlyGives500(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 2))
		r := open(t, f, checkpoint.Start{})
		readtest.Next(t, r, consumer.Want{Records: 1})
		bad := ""
		usual := f.Service.Answer
		f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
			if c.Op == "GetRecords" {
				if bad == "" {
					bad = c.Text("ShardIterator")
				}
				if c.Text("ShardIterator") == bad {
					return awsstub.Fail(500, "UnknownError")
				}
			}
			return usual(c)
		}
		p, err := r.Next(t.Context(), consumer.Want{})
		if err != nil || len(p.Records) != 1 || p.Records[0].Key != "k2" {
			t.Errorf("the next page is %+v, %v, want k2 from a new iterator", p, err)
		}
	})
}

func TestNextIsSilentForSecondsOnly(t *testing.T) {
	for name, fault := range map[string]awsstub.Answer{
		"connection": {Err: errConnection}, "no answer": {Hang: true}, "throttled": awsstub.Fail(400, "ProvisionedThroughputExceededException"),
		"malformed": awsstub.Fail(400, "InvalidArgumentException"), "expired": awsstub.Fail(400, "ExpiredIteratorException"),
		"not found": notFound,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 1))
				r := open(t, f, checkpoint.Start{})
				usual := f.Service.Answer
				f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
					if c.Op == "GetRecords" {
						return fault
					}
					return usual(c)
				}
				began := time.Now()
				for i := range 4 {
					if _, err := r.Next(t.Context(), consumer.Want{}); err == nil {
						t.Fatal("Next succeeded")
					}
					took := time.Since(began)
					if most := 16 * time.Second; took > time.Duration(i+1)*most {
						t.Errorf("%d calls of Next were silent for %v, want at most %v each", i+1, took, most)
					}
				}
				if perSecond := float64(len(f.Calls("GetRecords"))) / max(1, time.Since(began).Seconds()); perSecond > 3 {
					t.Errorf("a service that fails was asked %.1f times a second", perSecond)
				}
				f.Service.Answer = usual
				if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(1, 1)) {
					t.Errorf("once the service answers comes %v, want record 1", places)
				}
			})
		})
	}
}

func TestRefusalIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		r := open(t, f, checkpoint.Start{})
		f.fail("GetRecords", awsstub.Fail(400, "AccessDeniedException"), awsstub.Fail(400, "AccessDeniedException"))
		if _, err := r.Next(t.Context(), consumer.Want{}); !errors.Is(err, consumer.ErrDenied) {
			t.Errorf("Next gives %v, want ErrDenied", err)
		}
		f.do(func() { f.status = "DELETING" })
		if _, err := f.source(nil).Stream(t.Context()); !errors.Is(err, consumer.ErrNoStream) {
			t.Errorf("Stream gives %v, want ErrNoStream", err)
		}
		if reads, asks := len(f.Calls("GetRecords")), len(f.Calls("DescribeStreamSummary")); reads != 1 || asks != 2 {
			t.Errorf("%d reads were refused and the stream was asked for %d times; want one call each beside that of Open", reads, asks)
		}
	})
}

func TestBackOffBeginsAnewAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 50))
		r := open(t, f, checkpoint.Start{})
		for range 20 {
			f.fail("GetRecords", awsstub.Answer{Err: errConnection})
			began := time.Now()
			readtest.Next(t, r, consumer.Want{Records: 1})
			// The interval before the failing read, the interval after it, and a first wait of up to 250 ms.
			if took := time.Since(began); took > time.Second {
				t.Fatalf("a single failure after a success cost %v", took)
			}
		}
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	for name, fault := range map[string]awsstub.Answer{"idle": {}, "no answer": {Hang: true}, "failing": {Err: errConnection}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 0))
				r := open(t, f, checkpoint.Start{})
				readtest.Next(t, r, consumer.Want{})
				f.fail("GetRecords", fault, fault, fault)
				ctx, cancel := context.WithCancelCause(t.Context())
				failed := make(chan error)
				began := time.Now()
				go func() {
					for {
						if _, err := r.Next(ctx, consumer.Want{}); err != nil {
							failed <- err
							return
						}
					}
				}()
				readtest.Advance(t, 1100*time.Millisecond)
				cancel(cause)
				if err := <-failed; !errors.Is(err, cause) {
					t.Errorf("Next ended with %v, want the cause", err)
				}
				if took := time.Since(began); took > 1100*time.Millisecond {
					t.Errorf("Next ended after %v", took)
				}
			})
		})
	}
}

func TestWhatIsNotFoundIsToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake)
		want   error
	}{
		"shard":  {func(f *fake) { f.shards = []*fakeShard{holding(shardID(7), 1)} }, consumer.ErrNoShard},
		"stream": {func(f *fake) { f.status = "" }, consumer.ErrNoStream},
		"another": {func(f *fake) {
			f.created = time.Now()
			f.shards = []*fakeShard{holding(shardID(0), 1)}
		}, consumer.ErrNoStream},
		"position": {func(f *fake) { f.lookFor = true; f.shards[0].records = nil }, consumer.ErrTrimmed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 2))
				s := f.source(nil)
				st, shards := readtest.Stream(t, s)
				after := checkpoint.After(readtest.Position(t, seq(1)))
				r, err := s.Open(t.Context(), st, shards[0], after)
				if err != nil {
					t.Fatal(err)
				}
				readtest.Advance(t, time.Minute)
				f.do(func() { f.expire = f.opened; c.change(f) })
				for range 2 {
					if _, err := r.Next(t.Context(), consumer.Want{}); !errors.Is(err, c.want) {
						t.Errorf("Next gives %v, want %v", err, c.want)
					}
				}
				if _, err := s.Open(t.Context(), st, shards[0], after); !errors.Is(err, c.want) {
					t.Errorf("Open gives %v, want %v", err, c.want)
				}
			})
		})
	}
}
