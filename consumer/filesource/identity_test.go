package filesource_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

func TestAStreamIsGivenOneIDByWhoeverComesFirst(t *testing.T) {
	s := newStream(t)
	var mu sync.Mutex
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			st, err := s.source().Stream(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[st.Incarnation] = true
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("16 sources have the incarnations %v", seen)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, %v; want stream.id", left, err)
	}
}

func TestTheIDIsTheStream(t *testing.T) {
	s := newStream(t)
	s.write("stream.id", " by-hand \n")
	if st := s.ask(); st.Incarnation != "file:by-hand" || st.Name != s.dir || st.KeyOrder {
		t.Errorf("the stream is %+v", st)
	}
	s.cfg.Name, s.cfg.KeyField, s.cfg.KeyOrder = "votes", "k", true
	if st := s.ask(); st.Incarnation != "file:by-hand" || st.Name != "votes" || !st.KeyOrder {
		t.Errorf("with a name and an order of keys the stream is %+v", st)
	}
	s.remove("stream.id")
	if st := s.ask(); st.Incarnation == "file:by-hand" {
		t.Errorf("without its ID the stream is still %+v", st)
	}
	for _, id := range []string{"", "two words\n", strings.Repeat("x", 201)} {
		s.write("stream.id", id)
		if _, err := s.source().Stream(t.Context()); err == nil || !strings.Contains(err.Error(), s.path("stream.id")) {
			t.Errorf("with the ID %q: %v", id, err)
		}
	}
}

func TestTheNameIsTheAbsolutePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(filepath.Dir(dir))
	st, err := filesource.New(filepath.Base(dir), nil).Stream(t.Context())
	if want, _ := filepath.EvalSymlinks(dir); err != nil || st.Name != dir && st.Name != want {
		t.Errorf("the stream of a relative path is %+v, %v; want the name %s", st, err, dir)
	}
}

func TestValidateJoinsAllFaults(t *testing.T) {
	for _, c := range []struct {
		dir  string
		cfg  filesource.Config
		says []string
	}{
		{"", filesource.Config{}, []string{"directory"}},
		{"d", filesource.Config{KeyOrder: true, Busy: -1, Idle: -1, MaxLine: -1}, []string{"KeyField", "Busy", "Idle", "MaxLine"}},
		{"d", filesource.Config{Busy: 2, Idle: 1, MaxLine: 1<<30 + 1}, []string{"Idle", "MaxLine"}},
	} {
		src := filesource.New(c.dir, &c.cfg)
		_, stream := src.Stream(t.Context())
		_, shards := list(t, src, consumer.Stream{})
		_, pin := src.Pin(t.Context(), consumer.Stream{}, checkpoint.Latest())
		_, open := src.Open(t.Context(), consumer.Stream{}, consumer.Shard{ID: "a"}, checkpoint.Start{})
		for _, err := range []error{src.Validate(), stream, shards, pin, open} {
			if err == nil {
				t.Errorf("%q with %+v has no fault", c.dir, c.cfg)
				continue
			}
			if got := strings.Count(err.Error(), "filesource: "); got != len(c.says) {
				t.Errorf("the faults are %q, want %d", err, len(c.says))
			}
			mustBe(t, err, err, c.says...)
		}
	}
	if err := filesource.New("d", nil).Validate(); err != nil {
		t.Errorf("the defaults have the fault %v", err)
	}
}

func TestACallWhoseContextHasEndedDoesNothing(t *testing.T) {
	s := newStream(t)
	st := s.ask()
	ctx, cancel := contextWithCause(t)
	cancel()
	_, stream := s.source().Stream(ctx)
	_, pin := s.source().Pin(ctx, st, checkpoint.Latest())
	_, open := s.source().Open(ctx, st, consumer.Shard{ID: "a"}, checkpoint.Start{})
	for _, err := range []error{stream, pin, open} {
		mustBe(t, err, errStopped)
	}
}

func TestACopyOfADirectoryIsTheSameStream(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\ntwo\n")
	st := s.ask()
	copied := newStream(t)
	copied.cfg.Name = s.dir
	s.check(os.RemoveAll(copied.dir))
	s.check(os.CopyFS(copied.dir, os.DirFS(s.dir)))
	if got := copied.ask(); got.Incarnation != st.Incarnation {
		t.Errorf("the copy is %q of %q", got.Incarnation, st.Incarnation)
	}
	if got := lines(copied.next(copied.open("a", after(4)))); !slices.Equal(got, []string{"two"}) {
		t.Errorf("the copy gives %q", got)
	}
}
