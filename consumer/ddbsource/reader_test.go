package ddbsource_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

// open opens shard 0 of a fake.
func open(t *testing.T, f *fake, at checkpoint.Start) consumer.Reader {
	t.Helper()
	return readtest.Open(t, f.source(nil), shardID(0), at)
}

func TestRecordHasWhatTheServiceSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 2))
		readtest.Advance(t, 1500*time.Millisecond)
		p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		got := p.Records[0]
		if got.Stream != arn || got.Shard != shardID(0) || got.Key != `{"id":{"S":"item-1"}}` || got.Position != readtest.Position(t, seq(1)) ||
			!got.Arrived.Equal(f.shards[0].records[0].created) || len(got.Data) != 0 {
			t.Errorf("the record is %+v", got)
		}
		if sdk, ok := ddbsource.SDK(got); !ok || *sdk.EventID != "1" {
			t.Errorf("the SDK's record is %+v, %v", sdk, ok)
		}
		if sdk, ok := ddbsource.SDK(consumer.Record{}); ok {
			t.Errorf("another source's record is taken for %+v", sdk)
		}
		if p.Through != readtest.Position(t, seq(2)) || p.Behind != time.Second || p.End || p.Bytes < 200 {
			t.Errorf("the page is %+v, want it a second behind", p)
		}
	})
}

func TestPageCountsWhatItsRecordsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", 1000)
		b64 := base64.StdEncoding.EncodeToString([]byte(long))
		f := newFake(holding(shardID(0), 1))
		f.shards[0].records[0].record["dynamodb"].(map[string]any)["OldImage"] = map[string]any{
			"s": map[string]any{"S": long}, "b": map[string]any{"B": b64}, "ss": map[string]any{"SS": []any{long}},
			"bs": map[string]any{"BS": []any{b64}}, "m": map[string]any{"M": map[string]any{long: map[string]any{"BOOL": true}}},
			"l": map[string]any{"L": []any{map[string]any{"S": long}, map[string]any{"NULL": true}}},
			"n": map[string]any{"N": "1"}, "ns": map[string]any{"NS": []any{"1"}},
		}
		if p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{}); p.Bytes < 6_000 || p.Bytes > 9_000 {
			t.Errorf("a page with six texts of 1,000 bytes counts %d bytes", p.Bytes)
		}
	})
}

func TestEmptyPageIsNotBehindUnlessTheShardIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if p := readtest.Next(t, open(t, newFake(holding(shardID(0), 0)), checkpoint.Start{}), consumer.Want{}); p.Behind != 0 || p.End {
			t.Errorf("the page of an empty, open shard is %+v", p)
		}
		s := newFake(holding(shardID(0), 0)).source(nil)
		st, shards := readtest.Stream(t, s)
		shards[0].Closed = true
		r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
		if err != nil {
			t.Fatal(err)
		}
		if p := readtest.Next(t, r, consumer.Want{}); p.Behind >= 0 {
			t.Errorf("an empty page amid a closed shard is %v behind, want it unknown", p.Behind)
		}
	})
}

func TestBehindIsUnknownWithoutTheServicesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		r := open(t, f, checkpoint.Start{})
		usual := f.Service.Answer
		f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
			a := usual(c)
			a.Undated = true
			return a
		}
		if p := readtest.Next(t, r, consumer.Want{}); p.Behind >= 0 {
			t.Errorf("the page is %v behind, want it unknown", p.Behind)
		}
	})
}

func TestBusyShardIsReadFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 100))
		r := open(t, f, checkpoint.Start{})
		began := time.Now()
		for range 20 {
			readtest.Next(t, r, consumer.Want{Records: 1})
		}
		if took := time.Since(began); took < 4750*time.Millisecond || took > 5500*time.Millisecond {
			t.Errorf("20 pages took %v, want about 4 a second and no more", took)
		}
	})
}

func TestIdleShardIsReadEveryTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		r := open(t, f, checkpoint.Start{})
		for range 5 {
			readtest.Next(t, r, consumer.Want{})
		}
		began := time.Now()
		for range 10 {
			readtest.Next(t, r, consumer.Want{})
		}
		if took := time.Since(began); took < 20*time.Second || took > 22*time.Second {
			t.Errorf("10 pages without records took %v, want 20 to 22 s", took)
		}
	})
}

func TestLimitIsTheServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{Records: 1_000_000})
		if n := f.Calls("GetRecords")[0].Number("Limit"); n != 1_000 {
			t.Errorf("the limit is %v, want 1,000", n)
		}
	})
}

func TestHazard24_ExpiredIteratorIsReopenedAfterTheLastRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		r := open(t, f, checkpoint.Start{})
		readtest.Next(t, r, consumer.Want{Records: 2})
		readtest.Advance(t, 16*time.Minute)
		f.do(func() { f.expire = f.opened })
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(3, 3)) {
			t.Errorf("after the iterator has expired comes %v, want record 3", places)
		}
		last := f.Calls("GetShardIterator")[1]
		if last.Text("ShardIteratorType") != "AFTER_SEQUENCE_NUMBER" || last.Text("SequenceNumber") != seq(2) {
			t.Errorf("it was reopened by %v, want the sequence number as it came", last.In)
		}
	})
}

func TestHazard36_BrokenAnswersAreReadAgain(t *testing.T) {
	for name, faults := range map[string][]awsstub.Answer{
		"malformed iterator": {awsstub.Fail(400, "ValidationException")},
		"internal error":     {awsstub.Fail(500, "InternalServerError"), awsstub.Fail(500, "InternalServerError")},
		"body cut short":     {{Status: 200, Body: `{"Records":[],"NextShardIterator":"x"}`, Cut: true}},
		"body empty":         {{Status: 200}},
		"throttled":          {awsstub.Fail(400, "LimitExceededException")},
		"no change":          {awsstub.OK(map[string]any{"Records": []any{map[string]any{"eventName": "INSERT"}}, "NextShardIterator": "y"})},
		"no such iterator":   {notFound},
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
						if p.End {
							t.Fatalf("an open shard ended after %v", places)
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

func TestWhatIsNotFoundIsToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake)
		want   error
	}{
		"shard":  {func(f *fake) { f.shards = []*fakeShard{holding(shardID(7), 1)} }, consumer.ErrNoShard},
		"stream": {func(f *fake) { f.arn = "" }, consumer.ErrNoStream},
		"anew":   {func(f *fake) { f.arn, f.latest = arn+"0", arn+"0" }, consumer.ErrNoStream},
		"record": {func(f *fake) { f.horizon = 2 }, consumer.ErrTrimmed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(holding(shardID(0), 3))
				s := f.source(nil)
				st, shards := readtest.Stream(t, s)
				after := checkpoint.After(readtest.Position(t, seq(1)))
				r, err := s.Open(t.Context(), st, shards[0], after)
				if err != nil {
					t.Fatal(err)
				}
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

// A reader that was to begin at the oldest record begins at what is the oldest now; one that has a place has lost records.
func TestRecordsTrimmedUnderAnIterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 4))
		unread, begun := open(t, f, checkpoint.Start{}), open(t, f, checkpoint.Start{})
		readtest.Next(t, begun, consumer.Want{Records: 1})
		f.do(func() { f.horizon = 3 })
		if p := readtest.Next(t, unread, consumer.Want{}); !slices.Equal(readtest.Places(p.Records), numbered(4, 4)) {
			t.Errorf("from the oldest record come %v, want record 4", readtest.Places(p.Records))
		}
		if _, err := begun.Next(t.Context(), consumer.Want{}); !errors.Is(err, consumer.ErrTrimmed) {
			t.Errorf("after record 1 comes %v, want ErrTrimmed", err)
		}
	})
}
