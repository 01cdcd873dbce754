package kinesissource_test

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

// family is a stream after a split of shard 0 and a merge of one half with shard 1, listed with the youngest first.
func family() *fake {
	f := newFake(
		&fakeShard{id: shardID(4), parent: shardID(3), adjacent: shardID(1)},
		&fakeShard{id: shardID(2), parent: shardID(0)},
		&fakeShard{id: shardID(3), parent: shardID(0), closed: true, children: []string{shardID(4)}},
		&fakeShard{id: shardID(1), closed: true, children: []string{shardID(4)}},
		&fakeShard{id: shardID(0), closed: true, children: []string{shardID(2), shardID(3)}},
	)
	return f
}

func TestHazard11_BothParentsOfAMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		for f.page = range 6 {
			_, shards := readtest.Stream(t, f.source(nil))
			i := slices.IndexFunc(shards, func(s consumer.Shard) bool { return s.ID == shardID(4) })
			if i < 0 || !slices.Equal(shards[i].Parents, []string{shardID(3), shardID(1)}) {
				t.Errorf("%d a page: the merged shard is listed as %v, want both parents", f.page, shards)
			}
		}
	})
}

func TestHazard09_ListingTellsClosedShardsParentsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		for f.page = range 6 {
			_, shards := readtest.Stream(t, f.source(nil))
			if len(shards) != 5 {
				t.Fatalf("%d a page: %d shards are listed, want 5", f.page, len(shards))
			}
			readtest.ParentsFirst(t, shards)
			for _, s := range shards {
				if s.Closed != f.find(s.ID).closed {
					t.Errorf("%d a page: %s is listed with Closed %v", f.page, s.ID, s.Closed)
				}
			}
		}
		for _, c := range f.Calls("ListShards") {
			if c.In["ShardFilter"] != nil {
				t.Errorf("a listing has a filter: %v", c.In)
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
		f.fail("ListShards", awsstub.Answer{})
		f.fail("ListShards", slices.Repeat([]awsstub.Answer{awsstub.Fail(500, "InternalFailureException")}, 50)...)
		shards, err := readtest.Listing(t, s, st)
		if err == nil || !slices.Equal(readtest.IDs(shards), []string{shardID(4), shardID(2)}) {
			t.Errorf("the listing gives %v and then %v, want the first page and then an error", readtest.IDs(shards), err)
		}
	})
}

func TestListingIsTriedAgain(t *testing.T) {
	for name, fault := range map[string]awsstub.Answer{
		"throttled":     awsstub.Fail(400, "LimitExceededException"),
		"expired token": awsstub.Fail(400, "ExpiredNextTokenException"),
		"broken":        awsstub.Fail(500, "InternalFailureException"),
		"empty":         {Status: 200},
		"connection":    {Err: errConnection},
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
				f.fail("ListShards", awsstub.Answer{}, fault)
				shards, err := readtest.Listing(t, s, st)
				if err != nil || len(shards) != 5 {
					t.Errorf("the listing gives %v, %v, want all five shards once", readtest.IDs(shards), err)
				}
			})
		})
	}
}

func TestListingOfAStreamMadeAnewIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		s := f.source(nil)
		st, _ := readtest.Stream(t, s)
		f.do(func() { f.created = time.Now() })
		if shards, err := readtest.Listing(t, s, st); !errors.Is(err, consumer.ErrNoStream) || len(shards) > 0 {
			t.Errorf("the listing gives %v, %v, want ErrNoStream and no shard of the other stream", readtest.IDs(shards), err)
		}
	})
}

func TestListingStopsWhenItIsNotWanted(t *testing.T) {
	f := family()
	s, n := f.source(nil), 0
	st, _ := readtest.Stream(t, s)
	for _, err := range s.Shards(t.Context(), st) {
		n++
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n != 1 {
		t.Errorf("the loop ran %d times, want once", n)
	}
}
