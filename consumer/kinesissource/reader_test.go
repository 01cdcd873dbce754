package kinesissource_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

// open opens shard 0 of a fake.
func open(t *testing.T, f *fake, at checkpoint.Start) consumer.Reader {
	t.Helper()
	return readtest.Open(t, f.source(nil), shardID(0), at)
}

// numbered is the sequence numbers of the records from to until.
func numbered(from, until int) (places []string) {
	for i := from; i <= until; i++ {
		places = append(places, seq(i))
	}
	return places
}

func TestRecordHasWhatTheServiceSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		f.shards[0].records = append(f.shards[0].records, fakeRecord{seq: seq(2), data: []byte("d"), arrived: time.Now()})
		s := f.source(nil)
		st, shards := readtest.Stream(t, s)
		r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
		if err != nil {
			t.Fatal(err)
		}
		p := readtest.Next(t, r, consumer.Want{})
		got := p.Records[0]
		if got.Stream != st.Incarnation || got.Shard != shardID(0) || got.Key != "k1" || got.Position != readtest.Position(t, seq(1)) ||
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
		if p.Through != readtest.Position(t, seq(2)) || p.Behind != 0 || p.End || p.Bytes < 2 {
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
		p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if len(p.Records) != 5 || !p.End || !slices.Equal(readtest.IDs(p.Children), []string{shardID(2), shardID(3)}) {
			t.Errorf("the last page has %d records, End %v and the children %v", len(p.Records), p.End, readtest.IDs(p.Children))
		}
		if p.Through != readtest.Position(t, seq(5)) {
			t.Errorf("the last page goes through %v", p.Through)
		}
		if n := len(f.Calls("ListShards")); n != 0 {
			t.Errorf("%d listings were made for children that the answer names", n)
		}
	})
}

func TestEndOfTheLastRecordIsOneEmptyPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.find(shardID(0)).put(1, 1)
		r := open(t, f, checkpoint.After(readtest.Position(t, seq(1))))
		for range 2 { // the end stays the end
			if p := readtest.Next(t, r, consumer.Want{}); len(p.Records) != 0 || !p.End || len(p.Children) != 2 || !p.Through.IsZero() {
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
			p := readtest.Next(t, readtest.Open(t, f.source(nil), shardID(3), checkpoint.Start{}), consumer.Want{})
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
		p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if !p.End || len(p.Children) != 2 {
			t.Errorf("the last page has End %v and the children %v, want both found by listing", p.End, readtest.IDs(p.Children))
		}
	})
}

func TestHazard13_EndWithoutChildrenIsAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 2))
		f.shards[0].closed, f.mute = true, true
		p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
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
		places, p := readtest.Drain(t, r, 3)
		if !slices.Equal(places, numbered(1, 3)) || p.End {
			t.Errorf("records %v, End %v, want all three of an open shard", places, p.End)
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
		if p := readtest.Next(t, r, consumer.Want{}); len(p.Records) != 5 || p.End {
			t.Errorf("with a listing that fails the page has %d records and End %v, want 5 and no end", len(p.Records), p.End)
		}
		if places, p := readtest.Drain(t, r, 1); len(places) != 0 || !p.End || len(p.Children) != 2 {
			t.Errorf("then come %v and %+v, want the end alone", places, p)
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
		if p := readtest.Next(t, r, consumer.Want{}); p.End {
			t.Error("an answer with an iterator ended the shard")
		}
		if places, p := readtest.Drain(t, r, 1); len(places) != 1 || p.End {
			t.Errorf("then come %v, End %v", places, p.End)
		}
	})
}

func TestHazard24_ExpiredIteratorIsReopenedAfterTheLastRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		r := open(t, f, checkpoint.Start{})
		readtest.Next(t, r, consumer.Want{Records: 2})
		readtest.Advance(t, 6*time.Minute)
		f.do(func() { f.expire = f.opened })
		began := time.Now()
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(3, 3)) {
			t.Errorf("after the iterator has expired comes %v, want record 3", places)
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
		readtest.Advance(t, 90*time.Second)
		r := open(t, f, checkpoint.Latest())
		if p := readtest.Next(t, r, consumer.Want{}); len(p.Records) != 0 {
			t.Fatalf("at LATEST come %d records", len(p.Records))
		}
		readtest.Advance(t, 6*time.Minute)
		f.do(func() {
			f.expire = f.opened
			f.shards[0].put(4, 1)
		})
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(4, 4)) {
			t.Errorf("after the iterator has expired comes %v, want record 4", places)
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
			readtest.Next(t, r, consumer.Want{})
			f.do(func() { f.expire = f.opened })
		}
		f.do(func() { f.shards[0].put(1, 1) })
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(1, 1)) {
			t.Errorf("the first record after expired iterators is %v", places)
		}
	})
}

// Some endpoints take the iterators of a stream for those of another that has its name.
func TestReaderGivesNothingOfAStreamMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		r := open(t, f, checkpoint.Start{})
		readtest.Next(t, r, consumer.Want{})
		readtest.Advance(t, 6*time.Second)
		f.do(func() {
			f.created = time.Now()
			f.shards[0].put(2, 1)
		})
		for range 2 {
			if p, err := r.Next(t.Context(), consumer.Want{}); !errors.Is(err, consumer.ErrNoStream) {
				t.Errorf("Next gives %d records and %v, want ErrNoStream", len(p.Records), err)
			}
		}
	})
}

func TestReadersOpenedTogetherShareWhatIsKnownOfTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		s := f.source(nil)
		st, shards := readtest.Stream(t, s)
		readtest.Advance(t, time.Minute)
		before := len(f.Calls("DescribeStreamSummary"))
		opened := make(chan error)
		for range 50 {
			go func() {
				_, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
				opened <- err
			}()
		}
		for range 50 {
			if err := <-opened; err != nil {
				t.Error(err)
			}
		}
		if n := len(f.Calls("DescribeStreamSummary")) - before; n != 1 {
			t.Errorf("50 readers that were opened together asked %d times what the stream is, want once", n)
		}
	})
}

func TestStreamIsNotAskedForAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		s := f.source(nil)
		st, shards := readtest.Stream(t, s)
		before := len(f.Calls("DescribeStreamSummary"))
		for range 20 {
			r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
			if err != nil {
				t.Fatal(err)
			}
			reads(t, f, r, time.Minute)
		}
		if n := len(f.Calls("DescribeStreamSummary")) - before; n > 20 {
			t.Errorf("20 readers that were opened one after the other and read for a minute asked %d times what the stream is, want once each at most", n)
		}
	})
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
			{checkpoint.After(readtest.Position(t, "00"+seq(1))), "AFTER_SEQUENCE_NUMBER", "00" + seq(1), "k1"},
			{checkpoint.After(readtest.Position(t, seq(2))), "AFTER_SEQUENCE_NUMBER", seq(2), "k3"},
			{checkpoint.After(inside), "AT_SEQUENCE_NUMBER", seq(2), "k3"},
		} {
			f := newFake(holding(shardID(0), 3))
			p := readtest.Next(t, open(t, f, c.at), consumer.Want{})
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
		st, shards := readtest.Stream(t, s)
		if _, err := s.Open(t.Context(), st, shards[0], checkpoint.After(checkpoint.End())); err == nil {
			t.Error("a shard was opened after its end")
		}
	})
}
