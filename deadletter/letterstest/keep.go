package letterstest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

// full is a letter that has everything.
func (s *scene) full() deadletter.Letter {
	zone := time.FixedZone("UTC+5:30", 19800)
	at := time.Date(2026, 3, 4, 5, 6, 7, 891234000, zone)
	l := s.letter("customer-1", 49)
	l.Generation, l.Epoch = 1<<60+1, 1<<62+3 // beyond what a float64 holds
	l.Arrived, l.Failed, l.First = at, at.Add(3*time.Microsecond), at.Add(2*time.Microsecond)
	l.Encoded = true
	l.Attributes = map[string]string{"partition key": "a/b", "": "empty name", "empty value": "", "π": "\"quoted\"\n\x00\xff"}
	l.Reason, l.Attempts = deadletter.Permanent, 12
	l.Errors = []string{"outermost: inner: root", "inner: root", "", "root"}
	l.Stack, l.Worker = "goroutine 1 [running]:\n\tmain.go:1\n", "worker \"b\""
	return l
}

// differs says in what a letter is not the one that was stored, "" if in nothing. Times are compared as instants, to the microsecond.
func differs(got, want deadletter.Letter) string {
	switch {
	case got.Scope != want.Scope:
		return fmt.Sprintf("scope %q; want %q", got.Scope, want.Scope)
	case got.Shard != want.Shard:
		return fmt.Sprintf("shard %.200q; want %.200q", got.Shard, want.Shard)
	case got.Position != want.Position:
		return fmt.Sprintf("position %q; want %q", got.Position, want.Position)
	case got.Generation != want.Generation || got.Epoch != want.Epoch:
		return fmt.Sprintf("generation %d and epoch %d; want %d and %d", got.Generation, got.Epoch, want.Generation, want.Epoch)
	case got.Key != want.Key:
		return fmt.Sprintf("key %.200q; want %.200q", got.Key, want.Key)
	case !bytes.Equal(got.Payload, want.Payload):
		return fmt.Sprintf("a payload of %d bytes, %.40q; want %d bytes, %.40q", len(got.Payload), got.Payload, len(want.Payload), want.Payload)
	case got.Encoded != want.Encoded:
		return fmt.Sprintf("Encoded %t; want %t", got.Encoded, want.Encoded)
	case !maps.Equal(got.Attributes, want.Attributes):
		return fmt.Sprintf("attributes %q; want %q", got.Attributes, want.Attributes)
	case got.Reason != want.Reason || got.Attempts != want.Attempts:
		return fmt.Sprintf("reason %q and %d attempts; want %q and %d", got.Reason, got.Attempts, want.Reason, want.Attempts)
	case !slices.Equal(got.Errors, want.Errors):
		return fmt.Sprintf("errors %q; want %q", got.Errors, want.Errors)
	case got.Stack != want.Stack || got.Worker != want.Worker:
		return fmt.Sprintf("stack %q of worker %q; want %q of %q", got.Stack, got.Worker, want.Stack, want.Worker)
	case !sameTime(got.Arrived, want.Arrived):
		return fmt.Sprintf("arrived %v; want %v", got.Arrived, want.Arrived)
	case !sameTime(got.Failed, want.Failed) || !sameTime(got.First, want.First):
		return fmt.Sprintf("failed %v, first %v; want %v and %v", got.Failed, got.First, want.Failed, want.First)
	}
	return sameHistory(got.History, want.History)
}

func sameHistory(got, want []deadletter.Failure) string {
	same := slices.EqualFunc(got, want, func(a, b deadletter.Failure) bool {
		return sameTime(a.At, b.At) && a.Worker == b.Worker && slices.Equal(a.Errors, b.Errors)
	})
	if same {
		return ""
	}
	return fmt.Sprintf("history %q; want %q", got, want)
}

// sameTime tells whether two times are the same microsecond, and both or neither zero.
func sameTime(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond)) && a.IsZero() == b.IsZero()
}

// kept wants a letter to be read as it was stored, also alone by its ID.
func (s *scene) kept(want deadletter.Letter) {
	s.Helper()
	for _, q := range []deadletter.Query{
		{Scope: want.Scope, Key: want.Key, Keyed: true, ID: want.ID()},
		{Scope: want.Scope, ID: want.ID()},
	} {
		got := s.read(q)
		if len(got) != 1 {
			s.Fatalf("Read by the ID %.200q has %s; want one letter", want.ID(), names(got))
		}
		if wrong := differs(got[0], want); wrong != "" {
			s.Fatalf("%s was read with %s", name(want), wrong)
		}
		if got[0].Seq == 0 {
			s.Fatalf("%s has no Seq; want one above 0", name(want))
		}
	}
}

func fieldsComeBack(s *scene) {
	l := s.full()
	s.put(l)
	s.kept(l)
	l.Key, l.Position = "customer-2", checkpoint.Offset(50)
	s.park(l)
	s.kept(l)
}

func nothingComesBack(s *scene) {
	l := deadletter.Letter{Scope: s.scope}
	s.put(l)
	s.kept(l)
	other := deadletter.Letter{Scope: s.scope, Shard: "other"}
	s.park(other)
	s.kept(other)
	s.holds("", l, other)
}

func largePayload(s *scene) {
	l := s.letter("large", 1)
	l.Payload = noise(s.payload)
	s.put(l)
	s.kept(l)
	if p := s.of("large")[0].Payload; !bytes.Equal(p, l.Payload) {
		s.Fatalf("the letters of the key have a payload of %d bytes; want the %d that were stored", len(p), len(l.Payload))
	}
	c := s.claimed("large", aLongClaim)
	s.fail(c, l, deadletter.Failure{Worker: "w"})
	l.History = []deadletter.Failure{{Worker: "w"}}
	s.kept(l)
	s.settle(c, l)
	s.holds("large")
	l.History, l.Payload = nil, noise(s.payload/3)
	s.park(l) // the same ID again, smaller: nothing of the first may be left
	s.kept(l)
}

// noise is n bytes that cannot be compressed, the same for the same n.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b) // never fails
	return b
}

func bytePayloads(s *scene) {
	var ls []deadletter.Letter
	for i, p := range [][]byte{nil, {}, {0}, []byte("\x00\xff\xfe'\"\\"), bytes.Repeat([]byte{0}, 70_000), noise(4_096), noise(262_144), noise(400_001), noise(1<<20 + 1)} {
		l := s.letter("bytes", uint64(i))
		l.Payload = p
		ls = append(ls, l)
	}
	s.put(ls...)
	for _, l := range ls {
		s.kept(l)
	}
	s.holds("bytes", ls...)
	for i, got := range s.of("bytes") {
		if !bytes.Equal(got.Payload, ls[i].Payload) {
			s.Fatalf("among the letters of its key, %s has a payload of %d bytes; want the %d that were stored", name(got), len(got.Payload), len(ls[i].Payload))
		}
	}
}

func positionsComeBack(s *scene) {
	digits := strings.Repeat("4958", 14)
	var ls []deadletter.Letter
	for i, text := range []string{"", "0", "7", "00", "12:3", digits, digits + ":1", digits + ":4294967295", "END"} {
		l := s.letter("positions", uint64(i))
		p, err := checkpoint.Parse(text)
		if err != nil {
			s.Fatalf("%v", err)
		}
		if l.Position = p; text == "00" {
			l.Shard = "with leading zeros" // it is the same place as 0
		}
		ls = append(ls, l)
	}
	s.put(ls...)
	for _, l := range ls {
		s.kept(l)
	}
	s.holds("positions", ls...)
}

// awkward are names that a store must keep byte for byte, and apart.
func awkward() []string {
	return []string{
		"", " ", "a b", "a%20b", "a/b", "a:b", "a\x00b", "a'b\"c`d\\", "\xff\xfe", "ключ", "A", "a", "a ", "{a}", "*", "a\nb", "100%", "%",
		strings.Repeat("long ", 409) + "one", strings.Repeat("long ", 409) + "two", strings.Repeat("\xfe", 2048),
	}
}

func namesAreExact(s *scene) {
	var ls []deadletter.Letter
	for i, text := range awkward() {
		l := s.letter(text, uint64(i))
		l.Shard = text[:min(len(text), 200)] // shards are named by services, keys by anybody
		l.Attributes = map[string]string{text: text}
		ls = append(ls, l)
	}
	s.put(ls[:len(ls)/2]...)
	for _, l := range ls[len(ls)/2:] {
		s.park(l)
	}
	for _, l := range ls {
		s.kept(l)
		s.holds(l.Key, l)
	}
	var keys []string
	for _, l := range ls[len(ls)/2:] {
		keys = append(keys, l.Key)
	}
	s.parking(keys...)
	for _, l := range ls {
		s.settle(s.claimed(l.Key, aLongClaim), l)
		s.holds(l.Key)
	}
	s.parking()
}

func textsMayBeAnything(s *scene) {
	l := s.letter("texts", 1)
	text := "\x00\xff" + strings.Repeat("e", 100_000)
	l.Errors, l.Stack, l.Worker = []string{text, "\xfe"}, text, "\xff"
	s.put(l)
	c := s.claimed("texts", aLongClaim)
	s.fail(c, l, deadletter.Failure{At: l.Failed, Worker: "\xff", Errors: []string{text}})
	got := s.of("texts")
	if len(got) != 1 || len(got[0].Errors) != 2 || len(got[0].History) != 1 || len(got[0].History[0].Errors) != 1 {
		s.Fatalf("a letter with errors that are no UTF-8 was read as %.200q; want it with two errors and a history of one failure", fmt.Sprint(got))
	}
	s.settle(c, l)
}

func lettersAreOwned(s *scene) {
	l := s.full()
	want := s.full()
	ls := []deadletter.Letter{l}
	s.put(ls...)
	spoil(l)
	s.kept(want)
	spoil(s.of(want.Key)[0])
	s.kept(want)
	f := deadletter.Failure{Worker: "w", Errors: []string{"again"}}
	s.fail(s.claimed(want.Key, aLongClaim), want, f)
	f.Errors[0] = "spoilt"
	want.History = []deadletter.Failure{{Worker: "w", Errors: []string{"again"}}}
	s.kept(want)
	spoil(s.of(want.Key)[0])
	s.kept(want)
}

// spoil changes what a letter refers to.
func spoil(l deadletter.Letter) {
	l.Payload[0]++
	l.Attributes["partition key"] = "spoilt"
	l.Errors[0] = "spoilt"
	for i := range l.History {
		l.History[i].Worker, l.History[i].Errors[0] = "spoilt", "spoilt"
	}
}
