package filesource_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// asNobody has the rest of the test touch files as somebody who owns nothing, also where tests are run by root.
func asNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // the ID is the thread's
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setfsuid(os.Geteuid()); err != nil {
			t.Fatal(err)
		}
		runtime.UnlockOSThread()
	})
}

// reachable lets others come to the directory, to do what mode allows.
func (s *stream) reachable(mode os.FileMode) {
	s.t.Helper()
	s.t.Cleanup(func() { s.check(os.Chmod(s.dir, 0o755)) })
	s.check(os.Chmod(strings.TrimSuffix(s.dir, "/001"), 0o755))
	s.check(os.Chmod(s.dir, mode))
}

func TestADirectoryThatMayNotBeReadIsDenied(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	st := s.ask()
	s.reachable(0)
	asNobody(t)
	_, stream := s.source().Stream(t.Context())
	_, shards := list(t, s.source(), st)
	_, open := s.source().Open(t.Context(), st, consumer.Shard{ID: "a"}, checkpoint.Start{})
	for _, err := range []error{stream, shards, open} {
		mustBe(t, err, consumer.ErrDenied)
	}
}

func TestAFileThatMayNotBeReadIsDenied(t *testing.T) {
	s := newStream(t)
	s.write("a.jsonl", "one\n")
	st := s.ask()
	s.check(os.Chmod(s.path("a.jsonl"), 0))
	s.reachable(0o555)
	asNobody(t)
	_, open := s.source().Open(t.Context(), st, consumer.Shard{ID: "a"}, checkpoint.Start{})
	_, pin := s.source().Pin(t.Context(), st, checkpoint.Latest())
	for _, err := range []error{open, pin} {
		mustBe(t, err, consumer.ErrDenied, "a")
	}
}

// TestADirectoryThatMayOnlyBeRead has its name for an incarnation until it is given an ID, and LATEST is found by the files' times.
func TestADirectoryThatMayOnlyBeRead(t *testing.T) {
	s := newStream(t)
	s.cfg.Name = "the votes"
	s.write("a.jsonl", "one\n")
	s.write("grows.jsonl", "one\n")
	old := time.Now().Add(-time.Hour)
	s.check(os.Chtimes(s.path("a.jsonl"), old, old))
	s.check(os.Chmod(s.path("grows.jsonl"), 0o666))
	s.reachable(0o555)
	asNobody(t)
	if st := s.ask(); st.Incarnation != "file:the%20votes" {
		t.Errorf("the stream is %+v", st)
	}
	at := s.pin()
	s.add("grows.jsonl", "two\n")
	s.mustGive(s.open("a", at))
	s.mustGive(s.open("grows", at), "one", "two")
	s.mustGive(s.open("a", checkpoint.Start{}), "one")
	s.cfg.TimeField = "t"
	if at, err := s.source().Pin(t.Context(), s.ask(), checkpoint.Latest()); err == nil || !strings.Contains(err.Error(), "stream.marks") {
		t.Errorf("LATEST by the producers' times is pinned at %s, %v", at, err)
	}
}
