package deduptest

import (
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

func advanceOver(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	o.advance(at(5)) // 2 to 5 are passed over by a filter
	o.repeats(o.records(1, 5)...)
	o.applies(o.n(6))
	o.advance(at(6))
	next := s.owner("s", 2, 1)
	next.seals(at(3), at(6))
	next.repeats(next.records(2, 6)...)
	next.applies(next.n(7))
	s.stands(0, o.records(2, 5)...)
}

func advanceBack(s *scene) {
	o := s.sealed(1, 0)
	o.advance(at(5))
	for _, p := range []checkpoint.Position{at(5), at(3), {}} {
		o.advance(p)
	}
	o.seals(at(0), at(5))
	o.repeats(o.n(4))
	o.applies(o.n(6))
}

func advanceToEnd(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 2)...)
	o.advance(checkpoint.End())
	o.advance(at(9))
	o.seals(at(2), checkpoint.End())
	o.repeats(o.records(1, 3)...)
	next := s.owner("s", 2, 1)
	next.seals(at(2), checkpoint.End())
	next.repeats(next.records(1, 3)...)
	again := s.owner("s", 3, 2)
	again.seals(at(1), at(1))
	again.applies(again.n(2))
}

func marksGo(s *scene) {
	o := s.sealed(1, 0)
	before := s.kept()
	for n := uint64(1); n <= 20; n++ {
		o.applies(o.key(fmt.Sprintf("key %d", n), n))
	}
	if got := s.kept() - before; got < 20 {
		s.Fatalf("20 keys above low are %d rows more", got)
	}
	o.advance(at(12))
	if got := s.kept() - before; got != 8 {
		s.Fatalf("8 keys above low are %d rows more than none", got)
	}
	next := s.sealed(2, 0)
	if got := s.kept() - before; got != 8 {
		s.Fatalf("8 keys above low are %d rows more than none, after another has sealed", got)
	}
	next.repeats(next.key("key 13", 13), next.key("key 20", 20))
	next.advance(at(20))
	if got := s.kept() - before; got != 0 {
		s.Fatalf("no keys above low are %d rows more", got)
	}
	next.applies(next.key("key 1", 21))
	reset := s.owner("s", 3, 2)
	reset.seal(at(2))
	if got := s.kept() - before; got != 0 {
		s.Fatalf("no keys above low, in a newer generation, are %d rows more", got)
	}
}

func storageIsBounded(s *scene) {
	const round = 10
	o := s.sealed(1, 0)
	before := s.kept()
	for n := uint64(1); n <= 200; n += round {
		var ms []dedup.Mark
		for i := range uint64(round) {
			ms = append(ms, o.key(fmt.Sprintf("key %d", n+i), n+i))
		}
		o.applies(ms...)
		o.advance(at(n + round - 1))
	}
	if got := s.kept() - before; got > round {
		s.Fatalf("after 200 records, all below low, there are %d rows more than before", got)
	}
}
