package filesource_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

func list(t *testing.T, src *filesource.Source, st consumer.Stream) (shards []consumer.Shard, err error) {
	t.Helper()
	for sh, e := range src.Shards(t.Context(), st) {
		if err != nil {
			t.Error("an error is not the last of the listing")
		}
		if err = e; e == nil {
			shards = append(shards, sh)
		}
	}
	return shards, err
}

func ids(shards []consumer.Shard) []string {
	var all []string
	for _, sh := range shards {
		all = append(all, sh.ID)
	}
	return all
}

func TestListing(t *testing.T) {
	s := newStream(t)
	s.write("b.jsonl", "")
	s.write("a.jsonl", "")
	s.write("a.parents", " c \n\nb\nc\n")
	s.write("c.jsonl", "")
	s.write("c.parents", "gone\n")
	s.write("c.end", "")
	s.write("gone.end", "")
	s.write("later.parents", "a\n")
	s.write(".hidden.jsonl", "")
	s.write(".jsonl", "")
	s.write("notes.txt", "")
	s.check(os.Mkdir(s.path("dir.jsonl"), 0o755))
	s.check(os.Symlink("b.jsonl", s.path("link.jsonl")))
	s.check(os.Symlink("nowhere", s.path("lost.jsonl")))
	shards, err := list(t, s.source(), s.ask())
	s.check(err)
	if got := ids(shards); !slices.Equal(got, []string{"c", "b", "a", "link"}) {
		t.Fatalf("the listing has %v, want c, b, a and link, parents first", got)
	}
	if c, a := shards[0], shards[2]; !c.Closed || a.Closed || !slices.Equal(c.Parents, []string{"gone"}) || !slices.Equal(a.Parents, []string{"c", "b"}) {
		t.Errorf("the listing has %+v and %+v", c, a)
	}
	s.cfg.Closed = true
	shards, err = list(t, s.source(), s.ask())
	s.check(err)
	if i := slices.IndexFunc(shards, func(sh consumer.Shard) bool { return !sh.Closed }); i >= 0 {
		t.Errorf("with Config.Closed the listing has %+v", shards[i])
	}
}

// TestTheCommandsOfTheDocumentation make the shards that it says they make.
func TestTheCommandsOfTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	s := newStream(t)
	s.check(os.Mkdir(s.path("votes"), 0o755))
	s.write("votes/a.jsonl", "one\n")
	ran := 0
	for line := range strings.Lines(string(doc)) {
		command := strings.TrimPrefix(line, "//\t")
		if !strings.HasPrefix(command, "touch ") && !strings.HasPrefix(command, "echo ") {
			continue
		}
		sh := exec.CommandContext(t.Context(), "sh", "-c", command)
		sh.Dir = s.dir
		out, err := sh.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		ran++
	}
	s.dir = s.path("votes")
	shards, err := list(t, s.source(), s.ask())
	s.check(err)
	if got := fmt.Sprint(shards); ran != 4 || got != "[{a [] true } {b [a] false } {c [a] false }]" {
		t.Errorf("%d commands made %s", ran, got)
	}
	if p := s.mustEnd(s.open("a", checkpoint.Start{}), "one"); len(p.Children) != 2 {
		t.Errorf("the children are %v", p.Children)
	}
}

// TestListingLeavesOutWhatItCannotPlace: a shard whose parents are not known must not begin, and the others are not held up.
func TestListingLeavesOutWhatItCannotPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, content, says string }{
		"name":    {"bad name.jsonl", "", "bad name"},
		"parent":  {"bad.parents", "good\nno good\n", "no good"},
		"itself":  {"bad.parents", "bad\n", "shard bad"},
		"circle":  {"bad.parents", "worse\n", "ancestor"},
		"deeper":  {"bad.parents", "good\nworse\n", "ancestor"},
		"control": {"bad\x01.jsonl", "", "rename"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			s.write("good.jsonl", "")
			s.write(c.file, c.content)
			if strings.HasSuffix(c.file, ".parents") {
				s.write("bad.jsonl", "")
				s.write("child.jsonl", "")
				s.write("child.parents", "bad\n")
			}
			if c.says == "ancestor" {
				s.write("worse.jsonl", "")
				s.write("worse.parents", "bad\n")
			}
			shards, err := list(t, s.source(), s.ask())
			want := []string{"good"}
			if name == "parent" {
				want = []string{"child", "good"} // its parent is there, and is asked for by itself
			}
			if got := ids(shards); !slices.Equal(got, want) {
				t.Errorf("the listing has %v, want %v", got, want)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the listing ends with %v, want an error that says %q", err, c.says)
			}
		})
	}
}

// TestEndIsNotHeldUpByAnotherShard whose name or lineage is wrong.
func TestEndIsNotHeldUpByAnotherShard(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	s.write("a.end", "")
	s.write("b.parents", "a")
	s.write("b.jsonl", "")
	s.write("bad name.jsonl", "")
	if p := s.mustEnd(s.open("a", checkpoint.Start{}), "one"); !slices.Equal(ids(p.Children), []string{"b"}) {
		t.Errorf("the children are %v, want b", ids(p.Children))
	}
}
