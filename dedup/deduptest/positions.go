package deduptest

import (
	"fmt"
	"strings"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// rising are positions of one shard, each after the one before, of which some sink may hold the order for another.
func rising(t tb) (all []checkpoint.Position) {
	t.Helper()
	add := func(p checkpoint.Position, err error) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		all = append(all, p)
	}
	add(checkpoint.Sequence("9"))
	add(checkpoint.Sequence("10"))
	add(checkpoint.Sequence("00000000000000000000099")) // DynamoDB's have zeros, which it wants back
	add(checkpoint.Sequence("000000000000000000100"))
	for n := 4; n <= 12; n++ { // 1111 and 11111: a collation that passes over the digits of the length, or punctuation, takes them for neighbours
		add(checkpoint.Sequence(strings.Repeat("1", n)))
	}
	add(checkpoint.Sequence("18446744073709551615")) // as 64 bits
	add(checkpoint.Sequence("18446744073709551616"))
	kinesis := "4954698527125663720468456186713826713204843594573952"
	add(checkpoint.Sequence(kinesis + "3586")) // 56 digits
	add(checkpoint.Sequence(kinesis + "3587"))
	add(checkpoint.Sequence(kinesis + "3588"))
	for n := uint32(1); n <= 12; n++ { // records of an aggregate
		add(checkpoint.Aggregated(kinesis+"3588", n))
	}
	add(checkpoint.Aggregated(kinesis+"3588", 1<<32-1))
	add(checkpoint.Sequence(kinesis + "3589"))
	long := strings.Repeat("9", checkpoint.MaxDigits-1)
	add(checkpoint.Sequence(long[1:]))
	add(checkpoint.Sequence(long + "7"))
	add(checkpoint.Sequence(long + "8"))
	add(checkpoint.Aggregated(long+"8", 1<<32-1))
	return all
}

func positions(s *scene) {
	all := rising(s)
	o := s.sealed(1, 0)
	for i, p := range all {
		o.applies(o.of(p))
		o.repeats(o.of(p))
		if i%2 == 1 {
			o.advance(p)
			o.seals(checkpoint.Position{}, p)
		}
		next := s.owner("s", uint64(i)+2, 1)
		next.seal(checkpoint.Position{})
		next.repeats(next.of(p))
		o = next
	}
	for i, p := range all { // as the lease has it, in shards of their own
		o := s.owner(fmt.Sprintf("shard %d", i), 1, 1)
		o.seals(p, p)
		if i > 0 {
			o.repeats(o.of(all[i-1]))
		}
		o.repeats(o.of(p))
		if i+1 < len(all) {
			o.applies(o.of(all[i+1]))
		}
	}
}

func positionsOfIDs(s *scene) {
	o := s.owner("s", 1, 1)
	var ms []dedup.Mark
	for _, p := range rising(s) {
		ms = append(ms, o.of(p))
	}
	for _, m := range ms {
		o.applies(m)
	}
	for _, m := range ms {
		o.repeats(m)
	}
}

func apart(s *scene) {
	a := s.sealed(5, 0)
	a.applies(a.records(1, 3)...)
	a.bury(a.n(4))
	for _, change := range []func(*dedup.Mark){
		func(m *dedup.Mark) { m.App += "-b" },
		func(m *dedup.Mark) { m.Stream = "orders:2026-01-03" },
		func(m *dedup.Mark) { m.Shard = "t" },
	} {
		b := s.owner("s", 1, 1)
		change(&b.mark)
		b.meetsNobody()
	}
	a.applies(a.n(5))
	a.applies(redrive(a.n(4)))
	for _, by := range []string{" ", "/", ":", "#", "|", ",", ".", "-", "_", "%", "%20"} { // as names may be joined
		for _, names := range [][3]string{{"", "a" + by + "b", "c"}, {"", "a", "b" + by + "c"}, {by + "a", "b", "c"}} {
			b := s.owner(names[2], 1, 1)
			b.mark.App += names[0]
			b.mark.Stream = names[1]
			b.meetsNobody()
		}
	}
}

// meetsNobody wants a shard to be one that the sink knows nothing of.
func (o *owner) meetsNobody() {
	o.Helper()
	where := fmt.Sprintf("%q, %q, %q", o.mark.App, o.mark.Stream, o.mark.Shard)
	low, err := o.sink.Seal(o.Context(), o.n(2))
	if err != nil || low != at(2) {
		o.Fatalf("the first Seal of %s with the lease at 2: low is %q, error %v", where, low, err)
	}
	if fresh, err := o.apply(o.Context(), o.n(3)); err != nil || len(fresh) != 1 {
		o.Fatalf("the first Apply in %s: fresh %v, error %v; want the record to be fresh", where, fresh, err)
	}
	_, err = o.apply(o.Context(), redrive(o.n(4)))
	o.wants("a redrive of what was buried elsewhere, in "+where, err, dedup.ErrPending)
	o.bury(o.n(4))
}
