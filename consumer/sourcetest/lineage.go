package sourcetest

import (
	"slices"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// ended is a shard that was closed with records in it, and its children.
func ended() group {
	return group{
		name:   "Ended",
		shards: 1,
		needs:  []Ability{Roll},
		begin: func(tb testing.TB, x *subject) {
			x.ref = x.open(tb, x.only(tb), checkpoint.Start{})
			x.put(tb, 8, "a", "b", "c")
			if err := x.Roll(within(tb), x.ref.shard.ID); err != nil {
				tb.Fatalf("roll shard %s: %v", x.ref.shard.ID, err)
			}
			x.put(tb, 6, "a", "b", "c")
			x.ref.rest(tb, consumer.Want{Records: 3})
			x.ref.close(tb)
		},
		exams: []exam{
			{name: "Closed", run: closedShard},
			{name: "Children", run: children},
			{name: "Resumed", run: resumedToEnd},
			{name: "Lineage", run: wholeLineage},
		},
	}
}

// closedShard: the last page's records are given, by a reader that was there before the shard was closed and by a later one.
func closedShard(tb testing.TB, x *subject) {
	x.ref.mustGive(tb, x.puts[:8])
	for _, w := range []consumer.Want{{}, {Records: 1}, {Records: 8}, {Records: 7}} {
		r := x.open(tb, x.ref.shard, checkpoint.Start{})
		r.rest(tb, w)
		r.mustGive(tb, x.puts[:8])
		r.close(tb)
	}
}

func children(tb testing.TB, x *subject) {
	parent := x.ref.shard.ID
	shards := x.list(tb)
	if sh, ok := byID(shards, parent); !ok || !sh.Closed {
		tb.Errorf("the listing has the closed shard %s as %+v", parent, sh)
	}
	var ids []string
	for _, sh := range shards {
		if sh.ID == parent {
			continue
		}
		ids = append(ids, sh.ID)
		if sh.Closed || !slices.Equal(sh.Parents, []string{parent}) {
			tb.Errorf("the listing has %+v, want an open child of %s", sh, parent)
		}
	}
	if len(ids) == 0 {
		tb.Errorf("the listing has no child of shard %s", parent)
	}
	mustDescend(tb, shards)
	mustName(tb, x.ref, ids, []string{parent})
}

// mustDescend reports a listing that has a shard twice, or before one of its parents.
func mustDescend(tb testing.TB, shards []consumer.Shard) {
	tb.Helper()
	seen := make(map[string]bool)
	for _, sh := range shards {
		if seen[sh.ID] {
			tb.Errorf("the listing has shard %s twice", sh.ID)
		}
		seen[sh.ID] = true
		for _, p := range sh.Parents {
			if _, listed := byID(shards, p); listed && !seen[p] {
				tb.Errorf("the listing has shard %s before its parent %s", sh.ID, p)
			}
		}
	}
}

// mustName reports an end of a shard that did not name these children, each with these parents in any order.
func mustName(tb testing.TB, r *reading, ids, parents []string) {
	tb.Helper()
	var named []string
	for _, sh := range r.children {
		named = append(named, sh.ID)
		if !slices.Equal(slices.Sorted(slices.Values(sh.Parents)), slices.Sorted(slices.Values(parents))) {
			tb.Errorf("%s ended with the child %+v, want its parents to be %v", r, sh, parents)
		}
	}
	slices.Sort(named)
	slices.Sort(ids)
	if !slices.Equal(named, ids) {
		tb.Errorf("%s ended with the children %v, want %v", r, named, ids)
	}
}

// resumedToEnd resumes after every record and after every page: the rest comes, no more and no less, and then the end with the children.
func resumedToEnd(tb testing.TB, x *subject) {
	ref := x.ref
	places := slices.Clone(ref.places)
	for i, g := range ref.given {
		places = append(places, place{through: g.position, given: i + 1})
	}
	for _, p := range places {
		r := x.open(tb, ref.shard, checkpoint.After(p.through))
		r.rest(tb, consumer.Want{})
		r.mustGive(tb, putsOf(ref.given[p.given:]))
		if len(r.children) != len(ref.children) {
			tb.Errorf("%s ended with %d children, want %d", r, len(r.children), len(ref.children))
		}
		r.close(tb)
	}
}

func wholeLineage(tb testing.TB, x *subject) {
	rs := []*reading{x.ref}
	for _, sh := range x.ref.children {
		rs = append(rs, x.open(tb, sh, checkpoint.Start{}))
	}
	gather(tb, rs[1:], len(x.puts)-len(x.ref.given), consumer.Want{Records: 2})
	x.mustHaveAll(tb, rs)
	for _, r := range rs[1:] {
		r.close(tb)
	}
}

// merged is two shards that were merged.
func merged() group {
	return group{
		name:   "Merged",
		shards: 2,
		needs:  []Ability{Shards, Merge},
		exams:  []exam{{name: "BothParents", run: bothParents}},
	}
}

func bothParents(tb testing.TB, x *subject) {
	x.put(tb, 12, "a", "b", "c", "d", "e", "f")
	old := x.list(tb)
	if len(old) != 2 {
		tb.Fatalf("a new stream has %d shards, want 2", len(old))
	}
	parents := []string{old[0].ID, old[1].ID}
	if err := x.Merge(within(tb), parents[0], parents[1]); err != nil {
		tb.Fatalf("merge %v: %v", parents, err)
	}
	x.put(tb, 4, "a", "b", "c", "d")
	shards := x.list(tb)
	mustDescend(tb, shards)
	i := slices.IndexFunc(shards, func(sh consumer.Shard) bool { return !slices.Contains(parents, sh.ID) })
	if i < 0 {
		tb.Fatalf("the listing has no child of the merged shards %v", parents)
	}
	child := shards[i]
	if got := slices.Sorted(slices.Values(child.Parents)); !slices.Equal(got, slices.Sorted(slices.Values(parents))) {
		tb.Errorf("the listing has %+v, want its parents to be %v", child, parents)
	}
	var rs []*reading
	for _, sh := range old {
		r := x.open(tb, sh, checkpoint.Start{})
		r.rest(tb, consumer.Want{Records: 4})
		mustName(tb, r, []string{child.ID}, parents)
		rs = append(rs, r)
	}
	last := x.open(tb, child, checkpoint.Start{})
	last.until(tb, 4, consumer.Want{})
	rs = append(rs, last)
	x.mustHaveAll(tb, rs)
	for _, r := range rs {
		r.close(tb)
	}
}
