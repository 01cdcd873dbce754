package polling_test

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/polling"
)

// A lineage in any order, with shards listed twice and parents that are gone, comes out once each and parents first.
func TestParentsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "shards")
		var listed []consumer.Shard
		for i := range n {
			s := consumer.Shard{ID: strconv.Itoa(i)}
			for range rapid.IntRange(0, 2).Draw(t, "parents") {
				s.Parents = append(s.Parents, strconv.Itoa(rapid.IntRange(-2, i-1).Draw(t, "parent")))
			}
			listed = append(listed, s)
		}
		for i := range n {
			if rapid.Bool().Draw(t, "twice") {
				again := listed[i]
				again.Closed = true
				listed = append(listed, again)
			}
		}
		listed = rapid.Permutation(listed).Draw(t, "listing")
		last := map[string]consumer.Shard{}
		for _, s := range listed {
			last[s.ID] = s
		}
		ordered := polling.ParentsFirst(listed)
		if len(ordered) != n {
			t.Fatalf("%d shards come out as %v", n, ordered)
		}
		at := map[string]int{}
		for i, s := range ordered {
			at[s.ID] = i
			if s.Closed != last[s.ID].Closed || !slices.Equal(s.Parents, last[s.ID].Parents) {
				t.Errorf("%+v was listed last as %+v", s, last[s.ID])
			}
		}
		for i, s := range ordered {
			for _, parent := range s.Parents {
				if j, listed := at[parent]; listed && j > i {
					t.Errorf("%s comes before its parent %s", s.ID, parent)
				}
			}
		}
	})
}

// No listing of a service has one, but a broken one must not end the program.
func TestParentsFirstEndsOnACycle(t *testing.T) {
	cycle := []consumer.Shard{{ID: "a", Parents: []string{"b"}}, {ID: "b", Parents: []string{"a"}}, {ID: "c", Parents: []string{"c"}}}
	if ordered := polling.ParentsFirst(cycle); len(ordered) != 3 {
		t.Errorf("a cycle comes out as %v", ordered)
	}
}
