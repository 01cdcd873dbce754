package letterstest

import (
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

func storeOnce(s *scene) {
	first := s.letters("key", 1, 3)
	s.park(first...)
	c := s.claimed("key", aLongClaim)
	s.fail(c, first[0], deadletter.Failure{Worker: "w", Errors: []string{"again"}})
	before := s.of("key")
	again := s.letters("key", 1, 3)
	again[0].Payload = []byte("another attempt")
	s.put(again...)
	s.follow(again[1])
	s.park(again[0], again[0])
	s.put(again[2], again[2])
	after := s.of("key")
	if len(after) != 3 {
		s.Fatalf("three letters were stored several times; they are %s now", names(after))
	}
	for i, l := range after {
		if wrong := differs(l, before[i]); wrong != "" || l.Seq != before[i].Seq {
			s.Fatalf("storing %s again gave it Seq %d, %s; want Seq %d and nothing changed", name(l), l.Seq, wrong, before[i].Seq)
		}
	}
	twice := s.letter("twice", 1)
	s.put(twice, twice)
	s.holds("twice", twice)
	s.settle(s.claimed("twice", aLongClaim), twice)
	s.put(twice) // what was settled can come again
	s.holds("twice", twice)
	around := s.letters("around", 1, 2)
	s.put(around[0], around[1], around[0]) // it keeps its first place
	s.holds("around", around...)
}

func generations(s *scene) {
	older, newer := s.letter("key", 1), s.letter("key", 1)
	newer.Generation = 2
	newer.Payload = []byte("newer")
	s.put(older)
	s.put(newer)
	s.kept(older)
	s.kept(newer)
	s.settle(s.claimed("key", aLongClaim), older)
	s.holds("key", newer)
	s.kept(newer)
}

func nothingToStore(s *scene) {
	if err := s.store.Put(s.Context(), nil); err != nil {
		s.Fatalf("Put of nothing: %v", err)
	}
	if err := s.store.Park(s.Context(), nil, true); err != nil {
		s.Fatalf("Park of nothing: %v", err)
	}
	if ls := s.read(deadletter.Query{Scope: s.scope}); len(ls) > 0 {
		s.Fatalf("after nothing was stored, there is %s", names(ls))
	}
	s.parking()
}

func scopesAreApart(s *scene) {
	a := s.scope.App
	scopes := []deadletter.Scope{
		{App: a, Stream: "b"}, {App: a, Stream: "c"}, {App: a + " b", Stream: "c"}, {App: a, Stream: "b c"}, {App: a + "/b", Stream: "c"}, {App: a, Stream: "b/c"},
		{App: a + ":b", Stream: "c"}, {App: a, Stream: "b:c"}, {App: a + "%20b", Stream: "c"}, {App: a, Stream: ""}, {App: a + "_", Stream: "b"}, {App: a + "%", Stream: "b"}, {App: a + "'\"{}", Stream: "b"},
	}
	in := func(i int) deadletter.Letter {
		l := s.letter("key", 1)
		l.Scope = scopes[i]
		l.Payload = fmt.Appendf(nil, "of scope %d", i)
		return l
	}
	for i := range scopes {
		if i%2 == 0 {
			s.park(in(i))
		} else {
			s.put(in(i))
		}
	}
	for i, scope := range scopes {
		for _, q := range []deadletter.Query{{Scope: scope}, {Scope: scope, Key: "key"}} {
			if ls := s.read(q); len(ls) != 1 || differs(ls[0], in(i)) != "" {
				s.Fatalf("scope %q has %s; want its own letter", scope, names(ls))
			}
		}
		if got := len(s.parked(scope)); got != (i+1)%2 {
			s.Fatalf("scope %q has %d parked keys; want %d", scope, got, (i+1)%2)
		}
		if p := s.parked(scope); len(p) == 1 && p[0].Scope != scope {
			s.Fatalf("a parking of scope %q is of %q", scope, p[0].Scope)
		}
		other := in((i + 1) % len(scopes))
		if ls := s.read(deadletter.Query{Scope: scope, ID: other.ID()}); len(ls) > 0 {
			s.Fatalf("scope %q has %s of scope %q", scope, names(ls), other.Scope)
		}
	}
	for i, scope := range scopes { // claims of the same key do not meet
		c := s.token("key")
		c.Scope = scope
		s.take(c, aLongClaim)
		other := in((i + 1) % len(scopes))
		s.wants("Settle of another scope's letter", s.store.Settle(s.Context(), c, other.ID(), nil), deadletter.ErrNoLetter)
		s.settle(c, in(i))
	}
	for _, scope := range scopes {
		if ls := s.read(deadletter.Query{Scope: scope}); len(ls) > 0 {
			s.Fatalf("scope %q has %s after all were settled", scope, names(ls))
		}
	}
}

func orderOfSeq(s *scene) {
	s.put(s.letter("a", 5))
	s.park(s.letter("b", 9), s.letter("b", 2))
	s.put(s.letter("b", 4), s.letter("a", 1), s.letter("b", 3))
	s.follow(s.letter("b", 1))
	s.put(s.letter("a", 7))
	s.holds("a", s.letter("a", 5), s.letter("a", 1), s.letter("a", 7))
	s.holds("b", s.letter("b", 9), s.letter("b", 2), s.letter("b", 4), s.letter("b", 3), s.letter("b", 1))
	for _, key := range []string{"a", "b"} {
		s.rising(s.of(key))
	}
	s.fail(s.claimed("b", aLongClaim), s.letter("b", 2), deadletter.Failure{Worker: "w"}) // which moves nothing
	s.holds("b", s.letter("b", 9), s.letter("b", 2), s.letter("b", 4), s.letter("b", 3), s.letter("b", 1))
	for range 2 { // the same in each reading, the keys one after the other
		all := s.read(deadletter.Query{Scope: s.scope})
		keys := slices.CompactFunc(slices.Clone(all), func(a, b deadletter.Letter) bool { return a.Key == b.Key })
		if len(all) != 8 || len(keys) != 2 {
			s.Fatalf("the letters of two keys are %s; want eight, key after key", names(all))
		}
	}
}

// rising wants the Seqs of letters of one key to rise.
func (s *scene) rising(ls []deadletter.Letter) {
	s.Helper()
	var last uint64
	for _, l := range ls {
		if l.Seq <= last {
			s.Fatalf("%s has Seq %d after a letter with %d; want it higher", name(l), l.Seq, last)
		}
		last = l.Seq
	}
}

func seqNeverFalls(s *scene) {
	c := s.claimed("key", aLongClaim)
	var last uint64
	for n := range uint64(4) {
		first, second := s.letter("key", 2*n), s.letter("key", 2*n+1)
		s.park(first, second)
		for _, l := range s.of("key") {
			if l.Seq <= last {
				s.Fatalf("%s has Seq %d, when a letter that was settled before had %d; want it higher", name(l), l.Seq, last)
			}
			last = l.Seq
		}
		if n == 2 { // once the last first, and the key is never empty
			first, second = second, first
			s.settle(c, first)
			s.follow(s.letter("key", 100))
			s.settle(c, second)
			last = max(last, s.of("key")[0].Seq)
			s.settle(c, s.letter("key", 100))
			continue
		}
		s.settle(c, first)
		s.settle(c, second)
	}
}

func queries(s *scene) {
	empty := s.letters("", 1, 2)
	a, b := s.letters("a", 1, 5), s.letters("b", 1, 3)
	s.put(empty...)
	s.put(a...)
	s.park(b...)
	seqs := s.of("a")
	for _, c := range []struct {
		what string
		q    deadletter.Query
		want []deadletter.Letter
	}{
		{"a key", deadletter.Query{Key: "a"}, a},
		{"the key without a name", deadletter.Query{Keyed: true}, empty},
		{"a key that is not there", deadletter.Query{Key: "c", Keyed: true}, nil},
		{"at most two of a key", deadletter.Query{Key: "a", Limit: 2}, a[:2]},
		{"more than there are", deadletter.Query{Key: "a", Limit: 50}, a},
		{"after the third", deadletter.Query{Key: "a", After: seqs[2].Seq}, a[3:]},
		{"one after the first", deadletter.Query{Key: "a", After: seqs[0].Seq, Limit: 1}, a[1:2]},
		{"after the last", deadletter.Query{Key: "a", After: seqs[4].Seq}, nil},
		{"an ID", deadletter.Query{ID: a[3].ID()}, a[3:4]},
		{"an ID with its key", deadletter.Query{Key: "a", ID: a[3].ID()}, a[3:4]},
		{"an ID with another key", deadletter.Query{Key: "b", ID: a[3].ID()}, nil},
		{"an ID with the key without a name", deadletter.Query{Keyed: true, ID: a[3].ID()}, nil},
		{"an ID after its letter", deadletter.Query{Key: "a", ID: a[3].ID(), After: seqs[3].Seq}, nil},
		{"an ID that is not there", deadletter.Query{ID: s.letter("a", 99).ID()}, nil},
		{"an ID without its payload", deadletter.Query{ID: b[1].ID(), Heads: true}, b[1:2]},
	} {
		c.q.Scope = s.scope
		if got := s.read(c.q); names(got) != names(c.want) {
			s.Fatalf("Read of %s has %s; want %s", c.what, names(got), names(c.want))
		}
	}
	for limit, want := range map[int]int{0: 10, 1: 1, 6: 6, 10: 10, 11: 10} {
		if got := s.read(deadletter.Query{Scope: s.scope, Limit: limit}); len(got) != want {
			s.Fatalf("Read of all letters with the limit %d has %s; want %d", limit, names(got), want)
		}
	}
}

func heads(s *scene) {
	l := s.full()
	l.Payload = noise(500_000)
	s.put(l)
	s.fail(s.claimed(l.Key, aLongClaim), l, deadletter.Failure{Worker: "w", Errors: []string{"again"}})
	l.History = []deadletter.Failure{{Worker: "w", Errors: []string{"again"}}}
	got := s.read(deadletter.Query{Scope: s.scope, Heads: true})
	if len(got) != 1 || len(got[0].Payload) > 0 {
		s.Fatalf("Read of heads has %s, with payloads or not one; want one letter without a payload", names(got))
	}
	want := l
	want.Payload = nil
	if wrong := differs(got[0], want); wrong != "" {
		s.Fatalf("the head of %s was read with %s", name(l), wrong)
	}
	s.kept(l)
	small := s.letter("small", 1) // which a store may read with its head
	s.put(small)
	for _, got := range s.read(deadletter.Query{Scope: s.scope, Key: small.Key, Heads: true}) {
		if len(got.Payload) > 0 {
			s.Fatalf("the head of %s was read with a payload of %d bytes; want none", name(got), len(got.Payload))
		}
	}
	s.kept(small)
}

func leaveEarly(s *scene) {
	ls := s.letters("key", 1, 600)
	for part := range slices.Chunk(ls, 100) {
		s.park(part...)
	}
	seen := 0
	for l, err := range s.store.Read(s.Context(), deadletter.Query{Scope: s.scope}) {
		if err != nil {
			s.Fatalf("Read: %v", err)
		}
		if seen++; seen == 3 {
			s.settle(s.claimed("key", aLongClaim), l) // a reader may write
			break
		}
	}
	s.park(s.letter("other", 1))
	for _, err := range s.store.Parked(s.Context(), s.scope) {
		if err != nil {
			s.Fatalf("Parked: %v", err)
		}
		s.follow(s.letter("other", 2))
		break
	}
	all := s.store.Read(s.Context(), deadletter.Query{Scope: s.scope, Key: "key"})
	for range 2 { // an iterator can be used again
		seen = 0
		for _, err := range all {
			if err != nil {
				s.Fatalf("Read: %v", err)
			}
			seen++
		}
		if seen != 599 {
			s.Fatalf("Read after one of 600 was settled has %d; want 599", seen)
		}
	}
}

const (
	many     = 10_000
	manyKeys = 100
)

func manyLetters(s *scene) {
	var at uint64
	for n := range manyKeys { // each key's in one call, or in the calls of a parked key
		key := fmt.Sprintf("key %03d", n)
		ls := s.letters(key, 1, many/manyKeys)
		for i := range ls {
			ls[i].Shard = "shard"
			at++
			ls[i].Position = checkpoint.Offset(at)
		}
		if n%10 > 0 {
			s.put(ls...)
			continue
		}
		for part := range slices.Chunk(ls, 20) {
			s.park(part...)
		}
	}
	for _, heads := range []bool{true, false} {
		var last deadletter.Letter
		keys, total := map[string]int{}, 0
		for _, l := range s.read(deadletter.Query{Scope: s.scope, Heads: heads}) {
			if l.Key == last.Key && (l.Seq <= last.Seq || l.Position.Compare(last.Position) <= 0) || l.Key != last.Key && keys[l.Key] > 0 {
				s.Fatalf("%s with Seq %d was listed after %s with Seq %d; want key after key, each in the order of storing", name(l), l.Seq, name(last), last.Seq)
			}
			keys[l.Key]++
			total++
			last = l
		}
		if total != many || len(keys) != manyKeys {
			s.Fatalf("%d letters of %d keys were listed; want %d of %d", total, len(keys), many, manyKeys)
		}
	}
	for _, p := range s.parked(s.scope) {
		if p.Letters != many/manyKeys {
			s.Fatalf("the parked key %q has %d letters; want %d", p.Key, p.Letters, many/manyKeys)
		}
	}
}
