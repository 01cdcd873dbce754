package ddbsource_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/readtest"
)

func TestStartsAreAskedForAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside, err := checkpoint.Aggregated(seq(2), 1)
		if err != nil {
			t.Fatal(err)
		}
		instant := time.Now().Add(-30 * time.Second)
		for _, c := range []struct {
			at                 checkpoint.Start
			kind, place, first string
		}{
			{checkpoint.Start{}, "TRIM_HORIZON", "", seq(1)},
			{checkpoint.AtTime(instant.Add(100 * time.Millisecond)), "AT_TIMESTAMP", "", seq(1)},
			{checkpoint.After(readtest.Position(t, seq(2))), "AFTER_SEQUENCE_NUMBER", seq(2), seq(3)},
			{checkpoint.After(inside), "AT_SEQUENCE_NUMBER", seq(2), seq(3)},
		} {
			f := newFake(holding(shardID(0), 3))
			p := readtest.Next(t, open(t, f, c.at), consumer.Want{})
			call := f.Calls("GetShardIterator")[0]
			if call.Text("ShardIteratorType") != c.kind || call.Text("SequenceNumber") != c.place {
				t.Errorf("%v was asked for by %v", c.at, call.In)
			}
			if c.kind == "AT_TIMESTAMP" && call.Number("Timestamp") != float64(instant.Unix()) {
				t.Errorf("%v was asked for at %v: records have whole seconds", c.at, call.Number("Timestamp"))
			}
			if got := p.Records[0].Position.Sequence(); got != c.first {
				t.Errorf("%v begins with %s, want %s", c.at, got, c.first)
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

// minutes is a shard with a record every 20 seconds, on an endpoint without AT_TIMESTAMP that cuts times to the minute. Bubbles of synctest begin on the minute.
func minutes(t *testing.T, n int) *fake {
	t.Helper()
	f := newFake(&fakeShard{id: shardID(0)})
	f.minutes = true
	for i := range n {
		f.shards[0].put(i + 1)
		readtest.Advance(t, 20*time.Second)
	}
	return f
}

func TestInstantWithoutAtTimestampIsReadFromTheOldestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := minutes(t, 9) // 1 to 3 in the first minute, 4 to 6 in the second
		r := open(t, f, checkpoint.AtTime(began.Add(90*time.Second)))
		if places, _ := readtest.Drain(t, r, 6); !slices.Equal(places, numbered(4, 9)) {
			t.Errorf("from the middle of the second minute come %v, want records 4 to 9: none is lost that may be younger", places)
		}
	})
}

func TestSkippedRecordsMoveThroughOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := minutes(t, 6)
		r := open(t, f, checkpoint.AtTime(began.Add(150*time.Second)))
		p := readtest.Next(t, r, consumer.Want{Records: 4})
		if len(p.Records) != 0 || p.Through != readtest.Position(t, seq(4)) {
			t.Fatalf("a page of old records is %+v, want it empty and through record 4", p)
		}
		f.do(func() { f.expire = f.opened })
		readtest.Next(t, r, consumer.Want{}) // skipping goes on in the new iterator
		readtest.Advance(t, time.Minute)
		f.do(func() { f.shards[0].put(7) })
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(7, 7)) {
			t.Errorf("the first record that was not skipped is %v, want 7", places)
		}
	})
}

// Times need not rise: once a record is young enough, what follows it in the shard is given.
func TestNothingIsSkippedAfterTheFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := minutes(t, 6)
		r := open(t, f, checkpoint.AtTime(began.Add(time.Minute)))
		if places, _ := readtest.Drain(t, r, 3); !slices.Equal(places, numbered(4, 6)) {
			t.Fatalf("from the second minute on come %v", places)
		}
		f.do(func() {
			f.shards[0].put(7)
			f.shards[0].records[6].created = began
		})
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(7, 7)) {
			t.Errorf("a late record with an old time comes as %v", places)
		}
	})
}

func TestHazard02_LatestIsNotAskedForAgain(t *testing.T) {
	for _, cut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(holding(shardID(0), 3))
			f.minutes = cut
			readtest.Advance(t, 90*time.Second)
			r := open(t, f, checkpoint.Latest())
			readtest.Next(t, r, consumer.Want{})
			f.do(func() {
				f.expire = f.opened
				f.shards[0].put(4)
			})
			if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(4, 4)) {
				t.Errorf("cut to minutes %v: after the iterator has expired comes %v, want record 4", cut, places)
			}
			for _, c := range f.Calls("GetShardIterator") {
				if c.Text("ShardIteratorType") == "LATEST" {
					t.Error("LATEST was asked for")
				}
			}
		})
	}
}

// AWS refuses an instant in the future.
func TestInstantInTheFutureGivesNothingUntilItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 3))
		r := open(t, f, checkpoint.AtTime(time.Now().Add(2*time.Minute)))
		readtest.Next(t, r, consumer.Want{})
		readtest.Advance(t, 3*time.Minute)
		f.do(func() { f.shards[0].put(4) })
		if places, _ := readtest.Drain(t, r, 1); !slices.Equal(places, numbered(4, 4)) {
			t.Errorf("from an instant in the future on come %v, want record 4", places)
		}
	})
}
