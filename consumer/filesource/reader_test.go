package filesource_test

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

func TestPositionsAreWhereLinesEnd(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\r\nthree\n")
	p := s.mustGive(s.open("a", checkpoint.Start{}), "one", "two", "three")
	if got := offsets(p); !slices.Equal(got, []string{"4", "9", "15"}) {
		t.Errorf("the positions are %v, want 4, 9 and 15", got)
	}
	s.mustGive(s.open("a", after(4)), "two", "three")
	s.mustGive(s.open("a", after(15)))
}

func TestHalfALineWaits(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntw")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	if p := s.mustGive(r); p.Through != checkpoint.Offset(4) || p.Behind != 0 {
		t.Errorf("at half a line the page is through %q and %v behind, want 4 and 0", p.Through, p.Behind)
	}
	s.add("a.jsonl", "o")
	s.mustGive(r)
	s.add("a.jsonl", "\nthr")
	s.mustGive(r, "two")
	s.add("a.jsonl", "ee\n")
	s.mustGive(r, "three")
}

func TestLastLineOfAClosedShardNeedsNoNewline(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	s.write("a.end", "")
	if p := s.mustEnd(r, "two"); p.Through != checkpoint.Offset(7) {
		t.Errorf("the end is at %q, want 7", p.Through)
	}
	s.mustEnd(s.open("a", after(7)))
	s.mustEnd(s.open("a", checkpoint.Latest()))
}

func TestALineThatIsNoJSONIsARecord(t *testing.T) {
	s := newStream(t)
	s.cfg.KeyField = "k"
	s.write("a.jsonl", "{\"k\":\"x\"}\nplain\n{\"k\":\x00\xff\n \n")
	p := s.mustGive(s.open("a", checkpoint.Start{}), `{"k":"x"}`, "plain", "{\"k\":\x00\xff", " ")
	if got := keys(p); !slices.Equal(got, []string{"x", "", "", ""}) {
		t.Errorf("the keys are %q", got)
	}
}

// TestEmptyLinesAreNoRecords: an editor leaves one at the end of a file. The position moves over them.
func TestEmptyLinesAreNoRecords(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "\none\n\r\n\n")
	r := s.open("a", checkpoint.Start{})
	if p := s.mustGive(r, "one"); p.Through != checkpoint.Offset(8) {
		t.Errorf("through %q, want 8", p.Through)
	}
	s.add("a.jsonl", "\n")
	if p := s.mustGive(r); p.Through != checkpoint.Offset(9) {
		t.Errorf("through %q, want 9", p.Through)
	}
}

func TestALineMayBeLongerThanWhatIsReadAtOnce(t *testing.T) {
	s := newStream(t)
	long := strings.Repeat("x", 3<<20)
	s.write("a.jsonl", "one\n"+long+"\ntwo\n")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	for _, want := range []string{long, "two"} {
		if p := s.page(r, consumer.Want{Bytes: 1}); len(p.Records) != 1 || string(p.Records[0].Data) != want {
			t.Fatalf("the page has %d records", len(p.Records))
		}
	}
}

func TestALineThatIsTooLongHoldsItsShard(t *testing.T) {
	for name, content := range map[string]string{
		"whole": "one\n\n12345678901\ntwo\n",
		"begun": "one\n\n12345678901 and more",
		"vast":  "one\n\n" + strings.Repeat("x", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			s.cfg.MaxLine = 10
			s.write("a.jsonl", content)
			r := s.open("a", checkpoint.Start{})
			s.mustGive(r, "one")
			s.mustFail(r, filesource.ErrTooLong, s.path("a.jsonl"), "byte 5", "10 bytes")
			s.cfg.MaxLine = 4 << 20
			s.add("a.jsonl", "\n")
			if p := s.next(s.open("a", after(5))); len(p.Records) == 0 || !strings.HasPrefix(content[5:], string(p.Records[0].Data)) {
				t.Errorf("with a higher limit it gives %q", lines(p))
			}
		})
	}
}

func TestALineOfTheGreatestLength(t *testing.T) {
	s := newStream(t)
	s.cfg.MaxLine = 10
	s.write("a.jsonl", "1234567890\r\n1234567890")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "1234567890")
	s.mustGive(r)
	s.add("a.jsonl", "\n")
	s.mustGive(r, "1234567890")
}

// TestACopyIsReadWhileItIsMade: the marker may be there before all lines are.
func TestACopyIsReadWhileItIsMade(t *testing.T) {
	s := newStream(t)
	s.write("a.end", "8\n")
	s.write("a.jsonl", "one\nt")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	if _, err := r.Next(t.Context(), consumer.Want{}); err == nil || !strings.Contains(err.Error(), "8 bytes and has 5") {
		t.Errorf("Next of a copy that is not whole: %v", err)
	}
	s.add("a.jsonl", "wo\n")
	s.mustEnd(r, "two")
}

func TestAMarkerThatCannotBeReadIsAnError(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	s.write("a.end", "soon\n")
	if _, err := r.Next(t.Context(), consumer.Want{}); err == nil || !strings.Contains(err.Error(), `"soon"`) || !strings.Contains(err.Error(), s.path("a.end")) {
		t.Errorf("Next with a marker that is none: %v", err)
	}
	s.write("a.end", " 4 \n")
	s.mustEnd(r)
}

// TestTheEndComesWithTheLastRecords: hazard 6, the last page may hold records and the end.
func TestTheEndComesWithTheLastRecords(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	s.write("b.parents", "a\n")
	s.write("b.jsonl", "")
	s.write("a.end", "8")
	r := s.open("a", checkpoint.Start{})
	if p := s.page(r, consumer.Want{Records: 1}); p.End || len(p.Children) > 0 {
		t.Errorf("the first of two pages ends the shard: %+v", p)
	}
	p := s.mustEnd(r, "two")
	if len(p.Children) != 1 || p.Children[0].ID != "b" || !slices.Equal(p.Children[0].Parents, []string{"a"}) {
		t.Errorf("the children are %+v, want b, child of a", p.Children)
	}
}

func TestWhatIsGoneIsToldApart(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	s.write("b.jsonl", "one\n")
	s.check(os.Mkdir(s.path("c.jsonl"), 0o755))
	a, b := s.open("a", checkpoint.Start{}), s.open("b", checkpoint.Start{})
	st := s.ask()
	for _, id := range []string{"absent", "c", "../x/a", "", ".a", "stream.id", "a/b"} {
		_, err := s.try(id, checkpoint.Start{})
		mustBe(t, err, consumer.ErrNoShard)
	}
	s.remove("a.jsonl")
	s.mustFail(a, consumer.ErrNoShard, "shard a")
	s.remove("")
	s.mustFail(b, consumer.ErrNoStream, s.dir)
	_, err := s.source().Open(t.Context(), st, consumer.Shard{ID: "b"}, checkpoint.Start{})
	mustBe(t, err, consumer.ErrNoStream)
	_, err = s.source().Pin(t.Context(), st, checkpoint.Latest())
	mustBe(t, err, consumer.ErrNoStream)
	_, err = list(t, s.source(), st)
	mustBe(t, err, consumer.ErrNoStream)
	s.check(os.WriteFile(s.dir, nil, 0o644))
	_, err = s.source().Stream(t.Context())
	mustBe(t, err, consumer.ErrNoStream, "no directory")
}

// TestAnotherStreamOfTheDirectoryIsNotReadOn, though its file begins with the same lines.
func TestAnotherStreamOfTheDirectoryIsNotReadOn(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	old, resumed := s.open("a", checkpoint.Start{}), s.open("a", after(4))
	st := s.ask()
	s.mustGive(old, "one")
	s.write("stream.id", "another\n")
	s.add("a.jsonl", "two\n")
	s.mustFail(old, consumer.ErrNoStream, "another")
	s.mustFail(resumed, consumer.ErrNoStream, "another")
	s.write("a.end", "")
	s.mustFail(old, consumer.ErrNoStream, "another")
	_, err := list(t, s.source(), st)
	mustBe(t, err, consumer.ErrNoStream, "another")
	_, err = s.source().Open(t.Context(), st, consumer.Shard{ID: "a"}, after(4))
	mustBe(t, err, consumer.ErrNoStream, "another")
}

// TestAnEndIsOfTheStreamThatWasRead: its children are looked for in the directory, which may be another stream's by then.
func TestAnEndIsOfTheStreamThatWasRead(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	s.write("a.end", "")
	r := s.open("a", checkpoint.Start{})
	s.page(r, consumer.Want{Records: 1})
	s.write("stream.id", "another\n")
	if p := s.mustGive(r, "two"); p.End {
		t.Errorf("it ended with the children %v", p.Children)
	}
	s.mustFail(r, consumer.ErrNoStream, "another")
}

func TestKeys(t *testing.T) {
	s := newStream(t)
	s.cfg.KeyField = "user"
	s.write("a.jsonl", strings.Join([]string{
		`{"n":{"user":"inner"},"user":"outer"}`, `{"user":7.50}`, `{"user":true}`, `{"user":null}`, `{"user":["x"]}`, `{"user":{"user":1}}`,
		`{"us\u0065r":"\u00e9\"t"}`, `{"User":"x"}`, `["user"]`, `{"user":x}`, `{"user":`, `  { "user" : "y" , `, `{"user":"first","user":"second"}`, `{}`,
	}, "\n")+"\n")
	want := []string{"outer", "7.50", "true", "", "", "", `é"t`, "", "", "", "", "y", "first", ""}
	if got := keys(s.next(s.open("a", checkpoint.Start{}))); !slices.Equal(got, want) {
		t.Errorf("the keys are\n\t%q\nwant\n\t%q", got, want)
	}
}

func TestBehind(t *testing.T) {
	at := func(second int) string {
		return fmt.Sprintf(`{"t":"2026-01-02T03:04:%02d.5Z"}`, second)
	}
	s := newStream(t)
	s.write("a.jsonl", at(1)+"\n"+at(2)+"\n"+at(9)+"\n{\"half")
	for field, want := range map[string][]time.Duration{"": {-1, -1, 0, 0}, "t": {8 * time.Second, 7 * time.Second, 0, 0}} {
		s.cfg.TimeField = field
		r := s.open("a", checkpoint.Start{})
		for i, behind := range want {
			if p := s.page(r, consumer.Want{Records: 1}); p.Behind != behind {
				t.Errorf("with the times in field %q page %d is %v behind, want %v", field, i, p.Behind, behind)
			}
		}
	}
	s.cfg.TimeField = "t"
	s.write("closed.jsonl", at(1)+"\n"+at(9))
	s.write("closed.end", "")
	s.cfg.TimeField = "t"
	if p := s.page(s.open("closed", checkpoint.Start{}), consumer.Want{Records: 1}); p.Behind != 8*time.Second {
		t.Errorf("in a closed shard it is %v behind, want 8s", p.Behind)
	}
	s.add("a.jsonl", strings.Repeat("x", 2<<20)+"\"}\n"+at(11)+"\n")
	s.cfg.TimeField = ""
	r := s.open("a", checkpoint.Start{})
	for _, behind := range []time.Duration{-1, 0} { // before the long line, and at the end
		if p := s.next(r); p.Behind != behind {
			t.Errorf("at %s it is %v behind, want %v", p.Through, p.Behind, behind)
		}
	}
	s.cfg.TimeField = "t"
	inner := at(20)[:len(at(20))-1] + `,"p":"`
	s.write("long.jsonl", at(1)+"\n"+`{"p":{}`+strings.Repeat(" ", 16<<10)+`,"in":`+inner+strings.Repeat("x", 16<<10-len(inner)-4)+"\"}}\n")
	if p := s.page(s.open("long", checkpoint.Start{}), consumer.Want{Bytes: 1}); p.Behind != -1 {
		t.Errorf("of a newest record whose time is not known it is %v behind", p.Behind)
	}
	if p := s.page(s.open("a", checkpoint.Start{}), consumer.Want{Bytes: 1}); p.Behind != 10*time.Second {
		t.Errorf("far from the newest record it is %v behind, want 10s", p.Behind)
	}
}

func TestArrived(t *testing.T) {
	s := newStream(t)
	s.cfg.TimeField = "t"
	own, modified := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	s.write("a.jsonl", `{"t":"2020-01-02T03:04:05Z"}`+"\n"+`{"t":"yesterday"}`+"\n")
	s.check(os.Chtimes(s.path("a.jsonl"), modified, modified))
	p := s.next(s.open("a", checkpoint.Start{}))
	if got := p.Records[0].Arrived; !got.Equal(own) {
		t.Errorf("a line with a time arrived %v, want %v", got, own)
	}
	if late := p.Records[1].Arrived.Sub(modified); late < 0 || late > 10*time.Millisecond {
		t.Errorf("a line without a time arrived %v after its file was written last", late)
	}
	s.check(os.Chtimes(s.path("a.jsonl"), time.Now(), time.Now().Add(time.Hour)))
	if got := s.next(s.open("a", checkpoint.Start{})).Records[1].Arrived; got.After(time.Now()) {
		t.Errorf("a line arrived %v, which is not yet", got)
	}
}

// TestAPageIsNotTouchedByTheReleaseOfAnother, nor by what is read then.
func TestAPageIsNotTouchedByTheReleaseOfAnother(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\nthree\nfour\n")
	r := s.open("a", checkpoint.Start{})
	first, second := s.page(r, consumer.Want{Records: 1}), s.page(r, consumer.Want{Records: 1})
	first.Release()
	third := s.page(r, consumer.Want{Records: 1})
	second.Release()
	fourth := s.next(r)
	if got := slices.Concat(lines(third), lines(fourth)); !slices.Equal(got, []string{"three", "four"}) {
		t.Errorf("the pages that are held have %q", got)
	}
}

// TestAReleasedPageHoldsNothing of its lines: its memory may lie unused, or be used again for a shorter page.
func TestAReleasedPageHoldsNothing(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	p := s.mustGive(s.open("a", checkpoint.Start{}), "one", "two")
	p.Release()
	for i, r := range p.Records { // as whoever gets the memory next finds it
		if r.Data != nil || r.ID() != (consumer.Record{}).ID() {
			t.Errorf("record %d still holds %q, %q", i, r.ID(), r.Data)
		}
	}
}

// TestAnIdleReaderHoldsNothingOfWhatItRead: a process may have a thousand of them.
func TestAnIdleReaderHoldsNothingOfWhatItRead(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", strings.Repeat(strings.Repeat("x", 255)+"\n", 4096))
	held := func() uint64 {
		runtime.GC()
		runtime.GC() // pools keep what they have for one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	var idle []consumer.Reader
	for range 20 {
		r := s.open("a", checkpoint.Start{})
		if n := len(s.next(r).Records); n != 4096 {
			t.Fatalf("the page has %d records", n)
		}
		s.mustGive(r)
		idle = append(idle, r)
	}
	if grown := int64(held() - before); grown > 20*50<<10 {
		t.Errorf("%d idle readers hold %d bytes", len(idle), grown)
	}
}

func TestReaderThatIsClosedIsUseless(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	r := s.open("a", checkpoint.Start{})
	s.check(r.Close())
	s.mustFail(r, fs.ErrClosed)
}
