package filesource_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
)

// TestAChildIsNeverListedWithoutItsParents, at whatever moment of its making a listing is taken: it would be read before they are done.
func TestAChildIsNeverListedWithoutItsParents(t *testing.T) {
	s := newStream(t)
	s.check(s.writer().Create("a"))
	st := s.ask()
	var wg sync.WaitGroup
	made := make(chan struct{})
	wg.Go(func() {
		defer close(made)
		for i := range 100 {
			if err := s.writer().Create(fmt.Sprintf("child-%03d", i), "a"); err != nil {
				t.Error(err)
			}
		}
	})
	for ready := false; !ready; {
		select {
		case <-made:
			ready = true
		default:
		}
		shards, err := list(t, s.source(), st)
		s.check(err)
		for _, sh := range shards {
			if sh.ID != "a" && !slices.Equal(sh.Parents, []string{"a"}) {
				t.Fatalf("%s is listed with the parents %v", sh.ID, sh.Parents)
			}
		}
	}
	wg.Wait()
}

// TestAShardDoesNotEndBeforeItsLastLine, at whatever moment it is closed.
func TestAShardDoesNotEndBeforeItsLastLine(t *testing.T) {
	s := newStream(t)
	for i := range 100 {
		shard := fmt.Sprintf("shard-%03d", i)
		s.check(s.writer().Create(shard))
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, line := range []string{"first", strings.Repeat("x", 10_000), "last"} {
				if err := s.writer().Append(shard, []byte(line)); err != nil {
					t.Error(err)
				}
			}
			s.add(shard+".end", "") // a marker that does not say how long the shard is
		})
		r := s.open(shard, checkpoint.Start{})
		var given []string
		for ended := false; !ended; {
			p := s.next(r)
			given, ended = append(given, lines(p)...), p.End
		}
		wg.Wait()
		if len(given) != 3 || given[2] != "last" {
			t.Fatalf("%s ended after %d lines", shard, len(given))
		}
	}
}
