package ddbsource_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

// family is a stream whose shard 0 was rotated into 1, and 1 split into 2 and 3, listed with the youngest first.
func family() *fake {
	return newFake(
		&fakeShard{id: shardID(3), parent: shardID(1)},
		&fakeShard{id: shardID(2), parent: shardID(1)},
		&fakeShard{id: shardID(1), parent: shardID(0), closed: true},
		holdingClosed(shardID(0), 5),
	)
}

func holdingClosed(id string, n int) *fakeShard {
	s := holding(id, n)
	s.closed = true
	return s
}

func TestHazard09_ListingTellsClosedShardsParentsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for page := range 5 {
			f := family()
			f.page = page
			_, shards := readtest.Stream(t, f.source(nil))
			if len(shards) != 4 {
				t.Fatalf("%d a page: %d shards are listed, want 4", page, len(shards))
			}
			readtest.ParentsFirst(t, shards)
			for _, s := range shards {
				own := f.find(s.ID)
				if s.Closed != own.closed || own.parent != "" && !slices.Equal(s.Parents, []string{own.parent}) || own.parent == "" && s.Parents != nil {
					t.Errorf("%d a page: listed is %+v, it is %+v", page, s, own)
				}
			}
		}
	})
}

func TestListingGivesWhatItHasBeforeItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.page = 2
		s := f.source(nil)
		st, err := s.Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.fail("DescribeStream", awsstub.Answer{})
		f.fail("DescribeStream", slices.Repeat([]awsstub.Answer{awsstub.Fail(500, "InternalServerError")}, 50)...)
		shards, err := readtest.Listing(t, s, st)
		if err == nil || !slices.Equal(readtest.IDs(shards), []string{shardID(3), shardID(2)}) {
			t.Errorf("the listing gives %v and then %v, want the first page and then an error", readtest.IDs(shards), err)
		}
		f.do(func() { f.arn, f.faults = "", nil })
		if _, err := readtest.Listing(t, s, st); !errors.Is(err, consumer.ErrNoStream) {
			t.Errorf("the listing of a stream that is gone ends with %v, want ErrNoStream", err)
		}
	})
}

func TestListingIsTriedAgain(t *testing.T) {
	for name, fault := range map[string]awsstub.Answer{
		"throttled":  awsstub.Fail(400, "LimitExceededException"),
		"broken":     awsstub.Fail(500, "InternalServerError"),
		"empty":      {Status: 200},
		"connection": {Err: errors.New("connection reset by peer")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := family()
				f.page = 2
				s := f.source(nil)
				st, err := s.Stream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				f.fail("DescribeStream", awsstub.Answer{}, fault)
				shards, err := readtest.Listing(t, s, st)
				if err != nil || len(shards) != 4 {
					t.Errorf("the listing gives %v, %v, want all four shards once", readtest.IDs(shards), err)
				}
			})
		})
	}
}

func TestListingThatGoesInCirclesIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		s := f.source(nil)
		st, err := s.Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
			return awsstub.OK(map[string]any{"StreamDescription": map[string]any{
				"Shards": []any{map[string]any{"ShardId": shardID(0)}}, "LastEvaluatedShardId": shardID(0),
			}})
		}
		if shards, err := readtest.Listing(t, s, st); err == nil || len(shards) != 1 {
			t.Errorf("the listing gives %v, %v, want the shard and an error", readtest.IDs(shards), err)
		}
	})
}

// DescribeStream has a limit of ten calls a second.
func TestListingsKeepTheServicesPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.page = 1
		s := f.source(nil)
		st, err := s.Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		for range 10 {
			go func() {
				for _, err := range s.Shards(t.Context(), st) {
					if err != nil {
						t.Error(err)
					}
				}
				done <- struct{}{}
			}()
		}
		for range 10 {
			<-done
		}
		calls := f.Calls("DescribeStream")
		for i := 10; i < len(calls); i++ {
			if d := calls[i].At.Sub(calls[i-10].At); d < time.Second {
				t.Fatalf("eleven calls within %v, want at most ten a second", d)
			}
		}
		if n := len(calls); n != 41 {
			t.Errorf("%d calls were made, want 41", n)
		}
	})
}
