package kinesissource_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

// reads counts the reads of a shard while Next is called without a pause for so long.
func reads(t *testing.T, f *fake, r consumer.Reader, d time.Duration) int {
	t.Helper()
	before, until := len(f.Calls("GetRecords")), time.Now().Add(d)
	for time.Now().Before(until) {
		readtest.Next(t, r, consumer.Want{Records: 1})
	}
	return len(f.Calls("GetRecords")) - before
}

func TestBusyShardIsReadThreeTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1000))
		r := open(t, f, checkpoint.Start{})
		if n := reads(t, f, r, 10*time.Second); n < 25 || n > 31 {
			t.Errorf("a busy shard was read %d times in 10 s, want about 3 a second and no more", n)
		}
	})
}

func TestShardThatIsBehindIsReadAsABusyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		f.behind = 60_000
		r := open(t, f, checkpoint.Start{})
		if n := reads(t, f, r, 10*time.Second); n < 25 || n > 31 {
			t.Errorf("a shard that is behind, with empty pages, was read %d times in 10 s, want about 3 a second", n)
		}
		if p := readtest.Next(t, r, consumer.Want{}); p.Behind != time.Minute {
			t.Errorf("the page is %v behind, want a minute", p.Behind)
		}
	})
}

func TestClosedShardIsReadAsABusyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0)) // open still, so that its pages have no end
		s := f.source(nil)
		st, shards := readtest.Stream(t, s)
		shards[0].Closed = true
		r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
		if err != nil {
			t.Fatal(err)
		}
		if n := reads(t, f, r, 10*time.Second); n < 25 || n > 31 {
			t.Errorf("a closed shard with empty pages was read %d times in 10 s, want about 3 a second: nothing is waited for", n)
		}
	})
}

func TestIdleShardIsReadEverRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		r := open(t, f, checkpoint.Start{})
		began := time.Now()
		reads(t, f, r, 10*time.Second)
		calls := f.Calls("GetRecords")
		for i := 1; i < len(calls); i++ {
			gap := calls[i].At.Sub(calls[i-1].At)
			least := min(time.Second/3<<i, 2*time.Second)
			if gap < least || gap > least*11/10 {
				t.Errorf("read %d came after %v, want %v or up to a tenth more", i, gap, least)
			}
		}
		if calls[0].At != began {
			t.Errorf("the first read waited %v", calls[0].At.Sub(began))
		}
	})
}

func TestFirstRecordAfterAPauseComesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			f := newFake(holding(shardID(0), 0))
			r := open(t, f, checkpoint.Start{})
			reads(t, f, r, 20*time.Second)
			f.do(func() { f.shards[0].put(1, 1) })
			put := time.Now()
			readtest.Drain(t, r, 1)
			if took := time.Since(put); took > 2200*time.Millisecond {
				t.Errorf("the first record came after %v, want 2.2 s at most", took)
			}
			f.do(func() { f.shards[0].put(2, 1) })
			put = time.Now()
			readtest.Drain(t, r, 1)
			if took := time.Since(put); took > 400*time.Millisecond {
				t.Errorf("the second record came after %v: the shard is busy now", took)
			}
		}
	})
}

func TestShardIsNotReadFasterThanTheServiceGivesBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		for i := range 3 {
			f.shards[0].put(i+1, 1<<20)
		}
		r := open(t, f, checkpoint.Start{})
		began := time.Now()
		for n := 0; n < 3; {
			n += len(readtest.Next(t, r, consumer.Want{Records: 1}).Records)
		}
		// The third page comes when the 2 MiB before it are paid for.
		if took := time.Since(began); took < time.Second || took > 1200*time.Millisecond {
			t.Errorf("3 MiB in pages of 1 MiB took %v, want 1 s: 2 MiB a second", took)
		}
	})
}

func TestThrottlesSlowThePaceForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1000))
		r := open(t, f, checkpoint.Start{})
		reads(t, f, r, time.Second)
		for range 2 {
			f.fail("GetRecords", awsstub.Fail(400, "ProvisionedThroughputExceededException"))
		}
		readtest.Next(t, r, consumer.Want{Records: 1})
		if n := reads(t, f, r, 3*time.Second); n > 6 {
			t.Errorf("after throttles the shard was read %d times in 3 s, want clearly fewer than 9", n)
		}
		reads(t, f, r, 30*time.Second)
		if n := reads(t, f, r, 10*time.Second); n < 25 {
			t.Errorf("half a minute after the throttles the shard was read %d times in 10 s, want about 3 a second again", n)
		}
	})
}

func TestBackOffHasJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 10 {
			f := newFake(holding(shardID(0), 1))
			r := open(t, f, checkpoint.Start{})
			f.fail("GetRecords", awsstub.Fail(400, "ProvisionedThroughputExceededException"))
			began := time.Now()
			readtest.Next(t, r, consumer.Want{})
			waits[time.Since(began)] = true
		}
		if len(waits) < 5 {
			t.Errorf("ten readers waited %v after a throttle, want different waits", waits)
		}
	})
}

func TestPagesKeepToWhatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		for i := range 100 {
			f.shards[0].put(i+1, 10_000)
		}
		r := open(t, f, checkpoint.Start{})
		var places []string
		for len(places) < 100 {
			w := consumer.Want{Records: 30, Bytes: 100_000}
			if len(places) > 50 {
				w = consumer.Want{Bytes: 1}
			}
			p := readtest.Next(t, r, w)
			if len(p.Records) > 30 || p.Bytes > w.Bytes && len(p.Records) > 1 {
				t.Fatalf("a page has %d records and %d bytes, want %+v", len(p.Records), p.Bytes, w)
			}
			if n := len(p.Records); n > 0 && p.Through != p.Records[n-1].Position {
				t.Fatalf("a page goes through %v, its last record is at %v", p.Through, p.Records[n-1].Position)
			}
			places = append(places, readtest.Places(p.Records)...)
		}
		if !slices.Equal(places, numbered(1, 100)) {
			t.Errorf("the records are %v", places)
		}
		calls := f.Calls("GetRecords")
		for i, c := range calls {
			if n := c.Number("Limit"); n < 1 || i > 0 && n > 12 {
				t.Errorf("read %d asked for %v records; with about 10 kB each want about 9, or one", i, n)
			}
		}
	})
}

func TestLimitIsTheServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{Records: 1_000_000, Bytes: 1 << 40})
		if n := f.Calls("GetRecords")[0].Number("Limit"); n != 10_000 {
			t.Errorf("the limit is %v, want 10,000", n)
		}
	})
}
