package polling

import (
	"context"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// numbered is a service that gives its records in one answer.
type numbered struct {
	pool Pool
	n    int
}

func (s *numbered) Iterate(context.Context, checkpoint.Start) (Iterator, error) {
	return Iterator{ID: "first"}, nil
}

func (s *numbered) Get(context.Context, string, int) (Answer, error) {
	a := Answer{Batch: s.pool.Get(s.n), Next: "next"}
	for i := range a.Batch.Records {
		a.Batch.Records[i].Position, a.Batch.Sizes[i] = checkpoint.Offset(uint64(i+1)), 1
	}
	return a, nil
}

func (s *numbered) Ended(context.Context) ([]consumer.Shard, bool, error) { return nil, false, nil }

// The memory of an answer is used again when all pages that were cut from it are released, in whatever order, and not before.
func TestABatchOutlivesItsPages(t *testing.T) {
	r, err := Open(t.Context(), &numbered{n: 5}, checkpoint.Start{}, Options{MaxRecords: 100})
	if err != nil {
		t.Fatal(err)
	}
	var pages []consumer.Page
	for range 3 {
		p, err := r.Next(t.Context(), consumer.Want{Records: 2})
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, p)
	}
	for i, want := range []uint64{1, 3, 5} {
		if got := pages[i].Records[0].Position; got != checkpoint.Offset(want) {
			t.Errorf("page %d begins at %s, want %d", i, got, want)
		}
	}
	pages[1].Release()
	pages[2].Release()
	for i, p := range pages {
		if p.Records[0].Position.IsZero() {
			t.Errorf("page %d was cleared while another page of the answer is in use", i)
		}
	}
	pages[0].Release()
	for i, p := range pages {
		if !p.Records[0].Position.IsZero() {
			t.Errorf("page %d holds its records after all were released: their memory is pinned", i)
		}
	}
}

// What the Reader has not given yet is in use too.
func TestABatchIsKeptForThePagesToCome(t *testing.T) {
	r, err := Open(t.Context(), &numbered{n: 2}, checkpoint.Start{}, Options{MaxRecords: 100})
	if err != nil {
		t.Fatal(err)
	}
	for want := range uint64(2) {
		p, err := r.Next(t.Context(), consumer.Want{Records: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Records) != 1 || p.Records[0].Position != checkpoint.Offset(want+1) {
			t.Fatalf("the page holds %v, want record %d", p.Records, want+1)
		}
		p.Release()
	}
}

// A pool keeps few batches, the largest, and gives the smallest that is large enough.
func TestAPoolKeepsTheLargest(t *testing.T) {
	var p Pool
	var used []*Batch
	for _, n := range []int{30, 10, 60, 20, 50, 40} {
		used = append(used, p.Get(n))
	}
	for _, b := range used {
		b.release()
	}
	if len(p.free) != kept {
		t.Errorf("%d batches are kept, want %d", len(p.free), kept)
	}
	for _, c := range []struct{ want, room int }{{35, 40}, {5, 30}, {51, 60}, {51, 51}, {1, 50}, {1, 1}} {
		if b := p.Get(c.want); cap(b.Records) != c.room || len(b.Records) != c.want || len(b.Sizes) != c.want {
			t.Errorf("for %d records a batch with room for %d came, want one for %d", c.want, cap(b.Records), c.room)
		}
	}
}
