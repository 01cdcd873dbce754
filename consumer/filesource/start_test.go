package filesource_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

var errStopped = errors.New("stopped by the test")

func contextWithCause(t *testing.T) (context.Context, func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(errStopped) }
}

func (s *stream) pin() checkpoint.Start {
	s.t.Helper()
	at, err := s.source().Pin(s.t.Context(), s.ask(), checkpoint.Latest())
	s.check(err)
	return at
}

// TestLatestStaysWhereItIs is hazard 2: what comes after the pin is given, however often and late the shard is opened, and nothing that was there.
func TestLatestStaysWhereItIs(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntw")
	s.write("closed.jsonl", "one\ntwo")
	s.write("closed.end", "")
	s.write("empty.jsonl", "")
	at := s.pin()
	other := s.pin() // another application's, later
	s.mustGive(s.open("a", at))
	for _, more := range []string{"o\n", "three\n"} {
		s.add("a.jsonl", more)
		s.add("empty.jsonl", more)
	}
	s.pin()
	s.write("new.jsonl", "one\n")
	for range 2 {
		for _, at := range []checkpoint.Start{at, other} {
			s.mustGive(s.open("a", at), "two", "three")
			s.mustGive(s.open("empty", at), "o", "three")
			s.mustGive(s.open("new", at), "one")
			s.mustEnd(s.open("closed", at))
		}
	}
}

func TestLatestIsAfterTheLastWholeLine(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n"+strings.Repeat("x", 200<<10))
	s.write("b.jsonl", strings.Repeat("x", 200<<10))
	a, b := s.open("a", checkpoint.Latest()), s.open("b", checkpoint.Latest())
	s.mustGive(a)
	s.add("a.jsonl", "\n")
	s.add("b.jsonl", "\n")
	s.mustGive(a, strings.Repeat("x", 200<<10))
	s.mustGive(b, strings.Repeat("x", 200<<10))
}

// TestAnInstantIsNeverTooLate: of a file that was written since all is given, unless a mark says what is older.
func TestAnInstantIsNeverTooLate(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	old := time.Now().Add(-time.Hour)
	s.check(os.Chtimes(s.path("a.jsonl"), old, old))
	s.mustGive(s.open("a", checkpoint.AtTime(old)), "one")
	s.mustGive(s.open("a", checkpoint.AtTime(old.Add(9*time.Millisecond))), "one")
	since := s.open("a", checkpoint.AtTime(old.Add(time.Minute)))
	if p := s.mustGive(since); p.Through != checkpoint.Offset(4) {
		t.Errorf("what is older is left out, and the page is through %q, want 4", p.Through)
	}
	mark := s.pin()
	s.add("a.jsonl", "two\n")
	s.mustGive(since, "two")
	s.mustGive(s.open("a", checkpoint.AtTime(mark.Time().Add(-1))), "one", "two")
	s.mustGive(s.open("a", checkpoint.AtTime(mark.Time().Add(1))), "two")
	s.check(os.Truncate(s.path("stream.marks"), 5))
	s.mustGive(s.open("a", mark), "one", "two")
	again := s.pin()
	s.mustGive(s.open("a", again))
	s.mustGive(s.open("a", mark), "one", "two")
}

// TestAMarkBehindATornOneCounts as any other: a full disk leaves half a mark, whose Pin failed, and the next Pin succeeds.
func TestAMarkBehindATornOneCounts(t *testing.T) {
	for _, field := range []string{"", "t"} {
		t.Run("with the time field "+field, func(t *testing.T) {
			s := newStream(t)
			s.cfg.TimeField = field
			s.write("a.jsonl", `{"t":"2020-01-01T00:00:01Z"}`+"\n")
			s.write("stream.marks", `{"at":"2026-01-01T0`)
			at := s.pin()
			late := `{"t":"2020-01-01T00:00:02Z"}` // of a producer that sends what it had kept
			s.add("a.jsonl", late+"\n")
			s.mustGive(s.open("a", at), late)
		})
	}
}

// TestAShardThatComesLaterIsReadWhole from where LATEST was pinned, however old what it holds is.
func TestAShardThatComesLaterIsReadWhole(t *testing.T) {
	for _, field := range []string{"", "t"} {
		t.Run("with the time field "+field, func(t *testing.T) {
			s := newStream(t)
			s.cfg.TimeField = field
			s.write("a.jsonl", "one\n")
			at := s.pin()
			line := `{"t":"2020-01-01T00:00:01Z"}`
			s.write("b.jsonl", line+"\n")
			old := time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC)
			s.check(os.Chtimes(s.path("b.jsonl"), old, old)) // it was moved here
			s.mustGive(s.open("b", at), line)
		})
	}
}

// TestTheNewestMarkCounts that is not too late, and of several of one instant the first.
func TestTheNewestMarkCounts(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\nthree\n")
	s.write("stream.marks", `{"at":"2026-01-01T00:00:30Z","ends":{"a":14}}
{"at":"2026-01-01T00:00:20Z","ends":{"a":8}}
{"at":"2026-01-01T00:00:20Z","ends":{"a":14}}
{"at":"2026-01-01T00:00:10Z","ends":{"a":4}}
{"at":"2026-01-01T00:00:05Z","ends":{}}
`)
	for second, want := range map[int][]string{
		1: {"one", "two", "three"}, 5: {"one", "two", "three"}, 10: {"two", "three"}, 20: {"three"}, 29: {"three"}, 30: nil, 59: nil,
	} {
		s.mustGive(s.open("a", checkpoint.AtTime(time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC))), want...)
	}
}

// TestAMarkOfAnotherFileIsNotUsed: hazards of positions are those of marks too.
func TestAMarkOfAnotherFileIsNotUsed(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	at := s.pin()
	s.write("a.jsonl", "one and two\n")
	if _, err := s.try("a", at); err == nil || !strings.Contains(err.Error(), "byte 8") {
		t.Errorf("open at a mark in another file: %v", err)
	}
}

func TestAnInstantByTheLinesOwnTimes(t *testing.T) {
	s := newStream(t)
	s.cfg.TimeField = "t"
	one, two, three := `{"t":"2026-01-02T03:00:01Z"}`, `{"t":"2026-01-02T03:00:02Z"}`, `{"t":"2026-01-02T03:00:01.5Z"}`
	s.write("a.jsonl", strings.Join([]string{one, two, three}, "\n")+"\n")
	s.write("b.jsonl", one+"\nno time\n"+one+"\n")
	instant := func(ms int) checkpoint.Start {
		return checkpoint.AtTime(time.Date(2026, 1, 2, 3, 0, 0, ms*1e6, time.UTC))
	}
	s.pin() // the producers' clocks need not be ours: a mark counts only for who made it
	s.mustGive(s.open("a", instant(1000)), one, two, three)
	s.mustGive(s.open("a", instant(2000)), two, three)
	r := s.open("a", instant(3000))
	if p := s.mustGive(r); p.Through.IsZero() {
		t.Error("nothing moved on over what is older")
	}
	s.add("a.jsonl", one+"\n")
	s.mustGive(r)
	s.mustGive(s.open("b", instant(3000)), "no time", one)
	at := s.pin()
	s.add("a.jsonl", one+"\n")
	s.mustGive(s.open("a", at), one)
}

func TestPinLeavesOthersAsTheyAre(t *testing.T) {
	s := newStream(t)
	st := s.ask()
	for _, at := range []checkpoint.Start{{}, after(4), checkpoint.AtTime(time.Now())} {
		if got, err := s.source().Pin(t.Context(), st, at); got != at || err != nil {
			t.Errorf("Pin of %s is %s, %v", at, got, err)
		}
	}
	if _, err := os.Stat(s.path("stream.marks")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a mark was made: %v", err)
	}
}

// TestPinOfAListingThatIsNotWhole is an error: a shard that is missing from the mark would be read from its beginning.
func TestPinOfAListingThatIsNotWhole(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	s.write("a.parents", "no good\n")
	if at, err := s.source().Pin(t.Context(), s.ask(), checkpoint.Latest()); err == nil {
		t.Errorf("pinned at %s", at)
	}
}

func TestArchive(t *testing.T) {
	s := newStream(t)
	s.cfg.Closed = true
	s.write("a.jsonl", "one\ntwo\n")
	s.write("b.jsonl", "one\ntwo")
	s.write("c.jsonl", "")
	s.mustEnd(s.open("a", checkpoint.Start{}), "one", "two")
	s.mustEnd(s.open("b", checkpoint.Start{}), "one", "two")
	s.mustEnd(s.open("b", after(4)), "two")
	r := s.open("c", checkpoint.Start{})
	for range 2 {
		if p := s.mustEnd(r); !slices.Equal(lines(p), nil) || !p.Through.IsZero() {
			t.Errorf("an empty file ends with %+v", p)
		}
	}
}
