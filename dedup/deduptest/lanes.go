package deduptest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/dedup"
)

func sideBySide(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.key("a", 14))
	o.applies(o.key("b", 2), o.key("c", 15))
	o.applies(o.key("d", 1))
	o.refused(dedup.ErrOutOfOrder, o.key("a", 13))
	o.refused(dedup.ErrOutOfOrder, o.key("e", 12), o.key("a", 13), o.key("f", 16))
	o.repeats(o.key("a", 14), o.key("c", 15))
	o.applies(o.key("e", 12)) // nothing of the call with it was done
	o.appliesSome([]int{1, 2, 3}, o.key("a", 14), o.key("b", 16), o.key("b", 17), o.key("a", 18))
	o.seals(at(0), at(0)) // low moves with Advance alone
	o.advance(at(15))
	o.repeats(o.key("a", 14), o.key("b", 2), o.key("d", 1), o.key("b", 16))
	next := s.owner("s", 2, 1)
	next.seals(at(0), at(15))
	next.repeats(next.key("a", 18), next.key("b", 16), next.key("b", 17)) // also 16, whose mark 17 has replaced
	next.applies(next.key("a", 19), next.key("c", 20))
	next.repeats(next.key("b", 16), next.key("a", 18), next.key("a", 19)) // 18, behind its own 19, is no less of a repeat
}

func alone(s *scene) {
	o := s.sealed(1, 0)
	on := func(o *owner, n uint64) dedup.Mark {
		m := o.key("", n)
		m.Alone = true
		return m
	}
	o.applies(on(o, 5))
	o.applies(o.key("", 4))
	o.applies(on(o, 3), on(o, 6))
	o.applies(o.key("p"+at(2).Sort(), 1), on(o, 2))
	o.repeats(on(o, 2), on(o, 3), on(o, 5), on(o, 6))
	next := s.sealed(2, 0)
	next.repeats(on(next, 2), on(next, 3), next.key("", 4), on(next, 5), on(next, 6))
	next.applies(on(next, 7))
	next.advance(at(7))
	next.repeats(on(next, 7))
}

// odd are keys that a sink may take for one another, or not bear.
func odd() []string {
	long := strings.Repeat("0123456789abcdef", 64)
	return []string{
		"", " ", "a", "A", "a ", " a", "a\x00", "a\x00b", "\x00", "\x00\x00", "\xff", "\xfe", "\xff\xff", "\xc3", "\xc3\x28", "é", "e\u0301", "ß", "ss", "ı", "i", "I", "%", "%25", "%20", "'", "''", `"`, `\`, `\\`, `\x00`,
		"{", "}", "{a}", ":", "a:b", "a/b", "\n", "\r\n", "\t", "ka", "pa", "k", "p", "NULL", "null", "0", "00", "-0", "1e1", "10", "\U0001F600", "\ufffd", "\u200b", string(bytes.Repeat([]byte{0}, 16)), long, long[:1023] + "!", long[:1023] + "\x00",
	}
}

func keysAreExact(s *scene) {
	keys := odd()
	o := s.sealed(1, 0)
	last := uint64(len(keys))
	for i, key := range keys { // falling, so that one that is taken for another is out of order
		o.applies(o.key(key, last-uint64(i)))
	}
	for i, key := range keys {
		o.repeats(o.key(key, last-uint64(i)))
	}
	next := s.sealed(2, 0)
	for i, key := range keys {
		next.repeats(next.key(key, last-uint64(i)))
	}
	for i, key := range slices.Backward(keys) {
		next.applies(next.key(key, 2*last-uint64(i)))
	}
	next.advance(at(last))
	for i, key := range keys {
		next.repeats(next.key(key, 2*last-uint64(i)))
	}
}

func lanesAtOnce(s *scene) {
	const keys, rounds = 8, 10
	o := s.sealed(1, 0)
	var wg sync.WaitGroup
	for k := range uint64(keys) {
		wg.Go(func() {
			for r := range uint64(rounds) {
				m := o.key(fmt.Sprintf("key %d", k), r*keys+k+1)
				if fresh, err := o.apply(s.Context(), m); err != nil || len(fresh) != 1 {
					s.Errorf("Apply of %s beside other keys: fresh %v, error %v", name(m), fresh, err)
					return
				}
			}
		})
	}
	wg.Wait()
	o.advance(at(keys * rounds))
	s.stands(1, o.records(1, keys*rounds)...)
	next := s.owner("s", 2, 1)
	next.seals(at(0), at(keys*rounds))
	next.repeats(next.records(1, keys*rounds)...)
}
