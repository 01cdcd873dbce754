package filesource_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

func (s *stream) writer() *filesource.Writer { return filesource.NewWriter(s.dir) }

// put appends lines by a writer.
func (s *stream) put(shard string, lines ...string) {
	s.t.Helper()
	s.check(s.writer().Append(shard, bytesOf(lines...)...))
}

func bytesOf(lines ...string) [][]byte {
	var all [][]byte
	for _, l := range lines {
		all = append(all, []byte(l))
	}
	return all
}

func (s *stream) mustHold(name, want string) {
	s.t.Helper()
	if got, err := os.ReadFile(s.path(name)); err != nil || string(got) != want {
		s.t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
	}
}

func TestWriterMakesWhatAShellWould(t *testing.T) {
	s := newStream(t)
	s.remove("")
	w := s.writer()
	s.check(w.Create("a"))
	id := s.ask().Incarnation
	s.put("a", "one", "two")
	s.put("a")
	s.check(w.Reshard([]string{"a"}, []string{"b", "c"}))
	s.check(w.Reshard([]string{"b", "c"}, []string{"d"}))
	s.mustHold("a.jsonl", "one\ntwo\n")
	s.mustHold("a.end", "8\n")
	s.mustHold("c.parents", "a\n")
	s.mustHold("d.parents", "b\nc\n")
	s.mustHold("d.jsonl", "")
	if now := s.ask().Incarnation; now != id {
		t.Errorf("the stream was %s and is %s", id, now)
	}
	files, err := os.ReadDir(s.dir)
	s.check(err)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s is left in the directory", f.Name())
		}
	}
}

// TestWriterFinishesWhatItBegan: each step of making and closing shards may have been the last of a process that was killed.
func TestWriterFinishesWhatItBegan(t *testing.T) {
	for name, begun := range map[string]func(s *stream){
		"nothing":        func(*stream) {},
		"parents":        func(s *stream) { s.write("b.parents", "a\n") },
		"first child":    func(s *stream) { s.check(s.writer().Create("b", "a")) },
		"children":       func(s *stream) { s.check(s.writer().Create("b", "a")); s.check(s.writer().Create("c", "a")) },
		"closed":         func(s *stream) { s.check(s.writer().End("a")) },
		"everything":     func(s *stream) { s.check(s.writer().Reshard([]string{"a"}, []string{"b", "c"})) },
		"everything, b1": func(s *stream) { s.check(s.writer().Reshard([]string{"a"}, []string{"b", "c"})); s.put("b", "b1") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			s.check(s.writer().Create("a"))
			s.put("a", "one")
			begun(s)
			s.check(s.writer().Create("a"))
			s.check(s.writer().Reshard([]string{"a"}, []string{"b", "c"}))
			shards, err := list(t, s.source(), s.ask())
			s.check(err)
			if got := fmt.Sprint(shards); got != "[{a [] true } {b [a] false } {c [a] false }]" {
				t.Errorf("the shards are %s", got)
			}
			p := s.mustEnd(s.open("a", checkpoint.Start{}), "one")
			if got := ids(p.Children); !slices.Equal(got, []string{"b", "c"}) {
				t.Errorf("the children are %v", got)
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	s := newStream(t)
	w := s.writer()
	s.check(w.Create("a"))
	s.check(w.Create("closed"))
	s.check(w.End("closed"))
	s.check(w.Create("b", "a"))
	s.check(w.Create("removed"))
	s.check(w.End("removed"))
	s.remove("removed.jsonl")
	s.write("begun.parents", "closed\n")
	for what, c := range map[string]struct {
		err  error
		want error
		says string
	}{
		"a line with a newline":     {w.Append("a", []byte("one"), []byte("t\nwo")), filesource.ErrLine, "number 2 of 2"},
		"an empty line":             {w.Append("a", nil), filesource.ErrLine, "number 1 of 1"},
		"a carriage return":         {w.Append("a", []byte("one\r")), filesource.ErrLine, "one"},
		"a closed shard":            {w.Append("closed", []byte("one")), filesource.ErrClosed, "closed.end"},
		"repair a closed shard":     {repairError(w, "closed"), filesource.ErrClosed, "closed.end"},
		"no shard":                  {w.Append("absent", []byte("one")), consumer.ErrNoShard, "absent"},
		"a shard outside":           {w.Append("x/../a", []byte("one")), consumer.ErrNoShard, "slash"},
		"end of no shard":           {w.End("absent"), consumer.ErrNoShard, "absent"},
		"repair no shard":           {repairError(w, "absent"), consumer.ErrNoShard, "absent"},
		"a parent that is none":     {w.Create("c", "a", "absent"), consumer.ErrNoShard, "absent"},
		"a parent outside":          {w.Create("c", "x/../a"), consumer.ErrNoShard, "slash"},
		"a name of another lineage": {w.Create("b", "closed"), nil, "[a], not [closed]"},
		"a name without one":        {w.Create("b"), nil, "[a], not []"},
		"a name that had none":      {w.Create("a", "b"), nil, "[], not [b]"},
		"a name that was begun":     {w.Create("begun", "a"), nil, "[closed], not [a]"},
		"a name that was removed":   {w.Create("removed"), filesource.ErrClosed, "another name"},
		"a name that cannot be":     {w.Create("two words"), nil, "space"},
		"no parents":                {w.Reshard(nil, []string{"c"}), nil, "parent"},
		"no children":               {w.Reshard([]string{"a"}, nil), nil, "child"},
	} {
		if c.err == nil || c.want != nil && !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.says) || !strings.Contains(c.err.Error(), s.dir) {
			t.Errorf("%s: %v; want %v, and %q", what, c.err, c.want, c.says)
		}
	}
	s.mustHold("a.jsonl", "")
	s.check(w.Create("b", "a", "a"))
	s.check(w.End("closed"))
}

func repairError(w *filesource.Writer, shard string) error {
	_, err := w.Repair(shard)
	return err
}

// TestAnUnfinishedLineSpoilsNoOther: it becomes a record of its own, unless it is cut off.
func TestAnUnfinishedLineSpoilsNoOther(t *testing.T) {
	s := newStream(t)
	s.check(s.writer().Create("a"))
	s.add("a.jsonl", "one\ntw")
	r := s.open("a", checkpoint.Start{})
	s.mustGive(r, "one")
	s.put("a", "three")
	s.mustGive(r, "tw", "three")
	s.add("a.jsonl", "fo")
	s.mustGive(r)
	for _, want := range []int64{2, 0} {
		if cut, err := s.writer().Repair("a"); cut != want || err != nil {
			t.Errorf("Repair cut %d bytes, %v; want %d", cut, err, want)
		}
	}
	s.mustGive(r)
	s.put("a", "five")
	s.mustGive(r, "five")
	s.mustHold("a.jsonl", "one\ntw\nthree\nfive\n")
}

// TestWritersShareAShard: lines of several writers at once are each whole and once.
func TestWritersShareAShard(t *testing.T) {
	s := newStream(t)
	s.check(s.writer().Create("a"))
	const writers, calls = 4, 50
	fill := strings.Repeat("x", 20_000)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range calls {
				if err := s.writer().Append("a", fmt.Appendf(nil, "%d-%d", i, j), []byte(fill)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := s.open("a", checkpoint.Start{})
	next := make([]int, writers)
	for n := 0; n < 2*writers*calls; {
		for _, l := range lines(s.next(r)) {
			n++
			if l == fill {
				continue
			}
			var i, j int
			if _, err := fmt.Sscanf(l, "%d-%d", &i, &j); err != nil || j != next[i] {
				t.Fatalf("after %d lines of writer %d comes %q", next[i], i, brief(l))
			}
			next[i]++
		}
	}
	wg.Wait()
}

// TestWritersBeginAndEndTogether: each makes what it needs, and none undoes what another did.
func TestWritersBeginAndEndTogether(t *testing.T) {
	s := newStream(t)
	s.remove("")
	together := func(f func(w *filesource.Writer, i int) error) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := f(s.writer(), i); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for n := range 20 {
		shard := fmt.Sprint("shard-", n)
		together(func(w *filesource.Writer, i int) error {
			return errors.Join(w.Create(shard), w.Append(shard, []byte{byte('a' + i)}))
		})
		together(func(w *filesource.Writer, _ int) error { return w.End(shard) })
		p := s.next(s.open(shard, checkpoint.Start{}))
		if got := lines(p); len(got) != 8 || !p.End {
			t.Fatalf("%s holds %q and ends: %t", shard, got, p.End)
		}
	}
}

func brief(s string) string { return s[:min(len(s), 40)] }
