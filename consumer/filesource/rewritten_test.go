package filesource_test

import (
	"os"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

// A file that was cut or replaced is never read on in a wrong place, neither by who read it before nor by who resumes.
func TestAnotherFileIsNoticed(t *testing.T) {
	for name, content := range map[string]string{
		"cut":              "one\n",
		"cut to nothing":   "",
		"shorter":          "uno\n",
		"longer":           "un\ndos\ntres\ncuatro\n",
		"cut and grown on": "one\nzwei and drei\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			s.write("a.jsonl", "one\ntwo\n")
			r := s.open("a", checkpoint.Start{})
			s.mustGive(r, "one", "two")
			s.write("a.jsonl", content)
			s.mustFail(r, filesource.ErrRewritten, s.path("a.jsonl"), "byte 8")
			_, err := s.try("a", after(8))
			mustBe(t, err, filesource.ErrRewritten, s.path("a.jsonl"), "byte 8")
			s.write("a.jsonl", "one\ntwo\nthree\n")
			s.mustGive(r, "three")
		})
	}
}

// TestAFileWithOtherLinesOfTheSameLengthIsNoticed by the reader that read it. Whoever resumes cannot know.
func TestAFileWithOtherLinesOfTheSameLengthIsNoticed(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	for name, r := range map[string]consumer.Reader{"from the start": s.open("a", checkpoint.Start{}), "resumed": s.open("a", after(4))} {
		if p := s.next(r); p.Through != checkpoint.Offset(8) {
			t.Fatalf("%s: through %q", name, p.Through)
		}
		s.write("a.jsonl", "uno\ndos\ntres\n")
		s.mustFail(r, filesource.ErrRewritten, "byte 8")
		s.write("a.jsonl", "one\ntwo\n")
	}
}

// TestTheLastLineAloneDoesNotMakeAFileTheSame: what is compared is 64 bytes, however short the pages were.
func TestTheLastLineAloneDoesNotMakeAFileTheSame(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	r := s.open("a", checkpoint.Start{})
	for range 2 {
		s.page(r, consumer.Want{Records: 1})
	}
	s.write("a.jsonl", "uno\ntwo\ntres\n")
	s.mustFail(r, filesource.ErrRewritten, "byte 8")
}

func TestOnlyAnOffsetWhereALineEndsCanBeResumedFrom(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo")
	inside, err := checkpoint.Aggregated("4", 1)
	s.check(err)
	vast, err := checkpoint.Sequence("9223372036854775808")
	s.check(err)
	for _, c := range []struct {
		at   checkpoint.Start
		want error
	}{
		{after(3), filesource.ErrRewritten},
		{after(7), filesource.ErrRewritten},
		{after(100), filesource.ErrRewritten},
		{checkpoint.After(checkpoint.Offset(0)), nil},
		{after(4), nil},
	} {
		if _, err := s.try("a", c.at); c.want != nil || err != nil {
			mustBe(t, err, c.want)
		}
	}
	s.write("a.end", "")
	_, err = s.try("a", after(5))
	mustBe(t, err, filesource.ErrRewritten)
	for _, p := range []checkpoint.Position{checkpoint.End(), inside, vast} {
		if _, err := s.try("a", checkpoint.After(p)); err == nil || !strings.Contains(err.Error(), p.String()) {
			t.Errorf("open after %s: %v", p, err)
		}
	}
}

func TestLinesAfterTheEndAreAnError(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\nthree\n")
	s.write("a.end", "8\n")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one", "two")
	s.mustFail(r, filesource.ErrAfterEnd, s.path("a.jsonl"), "8 bytes", "14")
	s.mustFail(s.open("a", after(8)), filesource.ErrAfterEnd)
	s.check(os.Truncate(s.path("a.jsonl"), 8))
	s.mustEnd(r)
}
