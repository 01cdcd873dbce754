package kinesissource_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/awsstub"
)

// open opens shard 0 of a fake.
func open(t *testing.T, f *fake, at checkpoint.Start) consumer.Reader {
	t.Helper()
	return openShard(t, f, 0, at)
}

func openShard(t *testing.T, f *fake, n int, at checkpoint.Start) consumer.Reader {
	t.Helper()
	s := f.source(nil)
	st, err := s.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), st, consumer.Shard{ID: shardID(n)}, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func next(t *testing.T, r consumer.Reader, w consumer.Want) consumer.Page {
	t.Helper()
	p, err := r.Next(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drain reads until n records have come, or the shard ends, and fails the test if that takes a minute.
func drain(t *testing.T, r consumer.Reader, n int) (keys []string, last consumer.Page) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !last.End && len(keys) < n {
		var err error
		if last, err = r.Next(ctx, consumer.Want{}); err != nil {
			if ctx.Err() != nil {
				t.Fatalf("after %d of %d records: %v", len(keys), n, err)
			}
			continue // errors leave the Reader usable
		}
		for _, rec := range last.Records {
			keys = append(keys, rec.Key)
		}
	}
	return keys, last
}

// numbered is the keys of the records from to until.
func numbered(from, until int) (keys []string) {
	for i := from; i <= until; i++ {
		keys = append(keys, "k"+strconv.Itoa(i))
	}
	return keys
}

func TestRecordHasWhatTheServiceSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		f.shards[0].records = append(f.shards[0].records, fakeRecord{seq: seq(2), data: []byte("d"), arrived: time.Now()})
		s := f.source(nil)
		st, shards := stream(t, s)
		r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
		if err != nil {
			t.Fatal(err)
		}
		p := next(t, r, consumer.Want{})
		got := p.Records[0]
		if got.Stream != st.Incarnation || got.Shard != shardID(0) || got.Key != "k1" || got.Position != position(t, seq(1)) ||
			!got.Arrived.Equal(time.Now()) || string(got.Data) != "x" {
			t.Errorf("the record is %+v", got)
		}
		if p.Records[1].Key != "" {
			t.Errorf("a record without partition key has the key %q", p.Records[1].Key)
		}
		if sdk, ok := kinesissource.SDK(got); !ok || *sdk.SequenceNumber != seq(1) || *sdk.PartitionKey != "k1" {
			t.Errorf("the SDK's record is %+v, %v", sdk, ok)
		}
		if sdk, ok := kinesissource.SDK(consumer.Record{Raw: "other"}); ok {
			t.Errorf("another source's record is taken for %+v", sdk)
		}
		if p.Through != position(t, seq(2)) || p.Behind != 0 || p.End || p.Bytes < 2 {
			t.Errorf("the page is %+v", p)
		}
	})
}

func TestHazard06_LastPageIsGivenBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		for i := 1; i <= 5; i++ {
			f.find(shardID(0)).put(i, 1)
		}
		p := next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if len(p.Records) != 5 || !p.End || !slices.Equal(ids(p.Children), []string{shardID(2), shardID(3)}) {
			t.Errorf("the last page has %d records, End %v and the children %v", len(p.Records), p.End, ids(p.Children))
		}
		if p.Through != position(t, seq(5)) {
			t.Errorf("the last page goes through %v", p.Through)
		}
	})
}

func TestEndOfTheLastRecordIsOneEmptyPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.find(shardID(0)).put(1, 1)
		r := open(t, f, checkpoint.After(position(t, seq(1))))
		for range 2 { // the end stays the end
			if p := next(t, r, consumer.Want{}); len(p.Records) != 0 || !p.End || len(p.Children) != 2 || !p.Through.IsZero() {
				t.Errorf("after the last record comes %+v, want an empty page that ends the shard", p)
			}
		}
	})
}

func TestHazard11_ChildOfAMergeNamesBothParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		for _, mute := range []bool{false, true} {
			f.mute = mute
			p := next(t, openShard(t, f, 3, checkpoint.Start{}), consumer.Want{})
			if len(p.Children) != 1 || p.Children[0].ID != shardID(4) || !slices.Equal(p.Children[0].Parents, []string{shardID(3), shardID(1)}) {
				t.Errorf("mute %v: the children are %+v, want the merged shard with both parents", mute, p.Children)
			}
		}
	})
}

func TestHazard34_ChildrenAreFoundByParentWhenTheEndIsMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.mute, f.page = true, 2
		p := next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if !p.End || len(p.Children) != 2 {
			t.Errorf("the last page has End %v and the children %v, want both found by listing", p.End, ids(p.Children))
		}
	})
}

func TestHazard13_EndWithoutChildrenIsAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 2))
		f.shards[0].closed, f.mute = true, true
		p := next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if !p.End || len(p.Children) != 0 || len(p.Records) != 2 {
			t.Errorf("the last page is %+v, want the records and the end", p)
		}
	})
}

func TestAnswerWithoutIteratorOfAnOpenShardIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		r := open(t, f, checkpoint.Start{})
		f.fail("GetRecords", awsstub.Answer{Status: 200}, awsstub.OK(map[string]any{"Records": []any{}}))
		keys, p := drain(t, r, 3)
		if !slices.Equal(keys, numbered(1, 3)) || p.End {
			t.Errorf("records %v, End %v, want all three of an open shard", keys, p.End)
		}
	})
}

func TestEndIsNotTakenFromAListingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.mute = true
		for i := 1; i <= 5; i++ {
			f.find(shardID(0)).put(i, 1)
		}
		r := open(t, f, checkpoint.Start{})
		f.fail("ListShards", slices.Repeat([]awsstub.Answer{awsstub.Fail(500, "InternalFailureException")}, 12)...)
		if p := next(t, r, consumer.Want{}); len(p.Records) != 5 || p.End {
			t.Errorf("with a listing that fails the page has %d records and End %v, want 5 and no end", len(p.Records), p.End)
		}
		if keys, p := drain(t, r, 1); len(keys) != 0 || !p.End || len(p.Children) != 2 {
			t.Errorf("then come %v and %+v, want the end alone", keys, p)
		}
	})
}

func TestChildrenWithAnIteratorAreNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		r := open(t, f, checkpoint.Start{})
		f.fail("GetRecords", awsstub.OK(map[string]any{
			"Records": []any{}, "NextShardIterator": shardID(0) + "/0/99",
			"ChildShards": []any{map[string]any{"ShardId": shardID(1), "ParentShards": []string{shardID(0)}}},
		}))
		if p := next(t, r, consumer.Want{}); p.End {
			t.Error("an answer with an iterator ended the shard")
		}
		if keys, p := drain(t, r, 1); len(keys) != 1 || p.End {
			t.Errorf("then come %v, End %v", keys, p.End)
		}
	})
}

func TestHazard24_ExpiredIteratorIsReopenedAfterTheLastRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		r := open(t, f, checkpoint.Start{})
		next(t, r, consumer.Want{Records: 2})
		advance(t, 6*time.Minute)
		f.do(func() { f.expire = f.opened })
		began := time.Now()
		if keys, _ := drain(t, r, 1); !slices.Equal(keys, numbered(3, 3)) {
			t.Errorf("after the iterator has expired comes %v, want k3", keys)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("an expired iterator cost a wait of %v", took)
		}
		last := f.Calls("GetShardIterator")[1]
		if last.Text("ShardIteratorType") != "AFTER_SEQUENCE_NUMBER" || last.Text("StartingSequenceNumber") != seq(2) {
			t.Errorf("it was reopened by %v", last.In)
		}
	})
}

func TestHazard02_LatestIsNotAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		advance(t, 90*time.Second)
		r := open(t, f, checkpoint.Latest())
		if p := next(t, r, consumer.Want{}); len(p.Records) != 0 {
			t.Fatalf("at LATEST come %d records", len(p.Records))
		}
		advance(t, 6*time.Minute)
		f.do(func() {
			f.expire = f.opened
			f.shards[0].put(4, 1)
		})
		if keys, _ := drain(t, r, 1); !slices.Equal(keys, numbered(4, 4)) {
			t.Errorf("after the iterator has expired comes %v, want k4", keys)
		}
		for _, c := range f.Calls("GetShardIterator") {
			if c.Text("ShardIteratorType") == "LATEST" {
				t.Error("LATEST was asked for")
			}
		}
	})
}

func TestHazard08_IdleShardIsReopenedWhereItWasToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		r := open(t, f, checkpoint.Start{})
		for range 3 {
			next(t, r, consumer.Want{})
			f.do(func() { f.expire = f.opened })
		}
		f.do(func() { f.shards[0].put(1, 1) })
		if keys, _ := drain(t, r, 1); !slices.Equal(keys, numbered(1, 1)) {
			t.Errorf("the first record after expired iterators is %v", keys)
		}
	})
}

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
				keys := []string{}
				for i := range 3 {
					f.fail("GetRecords", faults...)
					for len(keys) < 3*(i+1) {
						p, err := r.Next(t.Context(), consumer.Want{Records: 3})
						if err == nil {
							for _, rec := range p.Records {
								keys = append(keys, rec.Key)
							}
						}
					}
				}
				if !slices.Equal(keys, numbered(1, 9)) {
					t.Errorf("the records are %v, want each once, in order", keys)
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
		next(t, r, consumer.Want{Records: 1})
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
				calls := 0
				for i := range 4 {
					if _, err := r.Next(t.Context(), consumer.Want{}); err == nil {
						t.Fatal("Next succeeded")
					}
					took := time.Since(began)
					if most := 16 * time.Second; took > time.Duration(i+1)*most {
						t.Errorf("%d calls of Next were silent for %v, want at most %v each", i+1, took, most)
					}
				}
				calls = len(f.Calls("GetRecords"))
				if perSecond := float64(calls) / max(1, time.Since(began).Seconds()); perSecond > 3 {
					t.Errorf("a service that fails was asked %.1f times a second", perSecond)
				}
				f.Service.Answer = usual
				if keys, _ := drain(t, r, 1); !slices.Equal(keys, numbered(1, 1)) {
					t.Errorf("once the service answers comes %v, want k1", keys)
				}
			})
		})
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	for name, fault := range map[string]awsstub.Answer{"idle": {}, "no answer": {Hang: true}, "failing": {Err: errConnection}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 0))
				r := open(t, f, checkpoint.Start{})
				next(t, r, consumer.Want{})
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
				advance(t, 1100*time.Millisecond)
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
				st, shards := stream(t, s)
				after := checkpoint.After(position(t, seq(1)))
				r, err := s.Open(t.Context(), st, shards[0], after)
				if err != nil {
					t.Fatal(err)
				}
				advance(t, time.Minute)
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

func TestStartsAreAskedForAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		instant := time.Now().Add(-time.Minute)
		inside, err := checkpoint.Aggregated(seq(2), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			at          checkpoint.Start
			kind, place string
			first       string
		}{
			{checkpoint.Start{}, "TRIM_HORIZON", "", "k1"},
			{checkpoint.AtTime(instant), "AT_TIMESTAMP", "", "k1"},
			{checkpoint.After(position(t, "00"+seq(1))), "AFTER_SEQUENCE_NUMBER", "00" + seq(1), "k1"},
			{checkpoint.After(position(t, seq(2))), "AFTER_SEQUENCE_NUMBER", seq(2), "k3"},
			{checkpoint.After(inside), "AT_SEQUENCE_NUMBER", seq(2), "k3"},
		} {
			f := newFake(holding(shardID(0), 3))
			p := next(t, open(t, f, c.at), consumer.Want{})
			call := f.Calls("GetShardIterator")[0]
			if call.Text("ShardIteratorType") != c.kind || call.Text("StartingSequenceNumber") != c.place {
				t.Errorf("%v was asked for by %v", c.at, call.In)
			}
			if p.Records[0].Key != c.first {
				t.Errorf("%v begins with %s, want %s", c.at, p.Records[0].Key, c.first)
			}
		}
		f := newFake(holding(shardID(0), 3))
		s := f.source(nil)
		st, shards := stream(t, s)
		if _, err := s.Open(t.Context(), st, shards[0], checkpoint.After(checkpoint.End())); err == nil {
			t.Error("a shard was opened after its end")
		}
	})
}
