package ddbsource_test

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

func TestHazard06_LastPageIsGivenBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := readtest.Next(t, open(t, family(), checkpoint.Start{}), consumer.Want{})
		if len(p.Records) != 5 || !p.End || !slices.Equal(readtest.IDs(p.Children), []string{shardID(1)}) {
			t.Errorf("the last page has %d records, End %v and the children %v", len(p.Records), p.End, readtest.IDs(p.Children))
		}
	})
}

func TestHazard34_ChildrenAreFoundWhateverTheFilterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, filter := range []string{"works", "ignored", "nothing"} {
			for page := range 5 {
				f := family()
				f.filter, f.page = filter, page
				p := readtest.Next(t, readtest.Open(t, f.source(nil), shardID(1), checkpoint.Start{}), consumer.Want{})
				if !p.End || !slices.Equal(readtest.IDs(p.Children), []string{shardID(3), shardID(2)}) {
					t.Errorf("filter %s, %d a page: End %v, children %v, want both", filter, page, p.End, readtest.IDs(p.Children))
				}
				for _, child := range p.Children {
					if !slices.Equal(child.Parents, []string{shardID(1)}) {
						t.Errorf("filter %s, %d a page: the child is %+v", filter, page, child)
					}
				}
			}
		}
	})
}

func TestFilterThatIsRefusedIsDoneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		r := open(t, f, checkpoint.Start{})
		f.fail("DescribeStream", awsstub.Fail(400, "ValidationException"))
		if p := readtest.Next(t, r, consumer.Want{}); !p.End || len(p.Children) != 1 {
			t.Errorf("End %v, children %v, want the one", p.End, readtest.IDs(p.Children))
		}
	})
}

func TestHazard13_ChildrenThatAreListedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ lateness, children int }{{1, 1}, {2, 1}, {9, 0}} {
			f := family()
			f.lateness = c.lateness
			began := time.Now()
			p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
			if !p.End || len(p.Records) != 5 || len(p.Children) != c.children {
				t.Errorf("listed late by %d: %d records, End %v, children %v, want %d", c.lateness, len(p.Records), p.End, readtest.IDs(p.Children), c.children)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("listed late by %d: the last page came after %v", c.lateness, took)
			}
		}
	})
}

func TestClosedShardOfADisabledStreamHasNoChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holdingClosed(shardID(0), 2))
		f.status = "DISABLED"
		began := time.Now()
		p := readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{})
		if !p.End || len(p.Records) != 2 || len(p.Children) != 0 {
			t.Errorf("the last page is %+v, want the records, the end and no child", p)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a child that cannot be there was looked for for %v", took)
		}
	})
}

func TestEndIsNotTakenFromAListingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family()
		r := open(t, f, checkpoint.Start{})
		f.fail("DescribeStream", slices.Repeat([]awsstub.Answer{awsstub.Fail(500, "InternalServerError")}, 200)...)
		if p := readtest.Next(t, r, consumer.Want{}); len(p.Records) != 5 || p.End {
			t.Errorf("with a listing that fails the page has %d records and End %v, want 5 and no end", len(p.Records), p.End)
		}
		if p, err := r.Next(t.Context(), consumer.Want{}); err == nil {
			t.Errorf("with a listing that fails the next page is %+v", p)
		}
		f.do(func() { f.faults = nil })
		if places, p := readtest.Drain(t, r, 1); len(places) != 0 || !p.End || len(p.Children) != 1 {
			t.Errorf("then come %v and %+v, want the end alone", places, p)
		}
	})
}

func TestSearchForChildrenEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		f := family()
		f.lateness = 9
		r := open(t, f, checkpoint.After(readtest.Position(t, seq(5))))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, cause)
		defer cancel()
		began := time.Now()
		if p, err := r.Next(ctx, consumer.Want{}); !errors.Is(err, cause) || time.Since(began) > 1500*time.Millisecond {
			t.Errorf("Next gives %+v, %v after %v, want the cause at once", p, err, time.Since(began))
		}
		if p := readtest.Next(t, r, consumer.Want{}); !p.End {
			t.Errorf("the next page is %+v, want the end", p)
		}
	})
}
