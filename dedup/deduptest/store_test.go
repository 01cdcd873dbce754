package deduptest

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
)

// store is a database in memory, whose sinks know the contract and no other code of sinks, and have one flaw, if it is named.
type store struct {
	flaw string

	mu       sync.Mutex
	counters map[string]int
	shards   map[string]*shardRows
	lose     bool // the next write
	answer   bool // or rather its answer
	then     func()
	isDown   bool
}

// shardRows is what is stored of a shard. It is never changed, but replaced.
type shardRows struct {
	epoch, generation uint64
	session           string
	low               checkpoint.Position
	done              map[string]doneRow
	dead              map[deadRow]bool
	ids               map[string]idRow
}

type doneRow struct {
	position checkpoint.Position
	epoch    uint64
}

type deadRow struct {
	position   string
	generation uint64
}

type idRow struct {
	generation uint64
	dead       bool
}

func newStore(flaw string) *store {
	return &store{flaw: flaw, counters: map[string]int{}, shards: map[string]*shardRows{}}
}

// has tells whether the sinks have a flaw, of which flaws says who must see it.
func (s *store) has(flaw string) bool { return s.flaw == flaw }

func (r *shardRows) clone() *shardRows {
	c := *r
	c.done, c.dead, c.ids = maps.Clone(r.done), maps.Clone(r.dead), maps.Clone(r.ids)
	return &c
}

// database is the store as the suite sees it.
func (s *store) database() database {
	return database{
		sink: func() sink { return &naive{store: s, known: map[string]*memory{}} },
		total: func(_ context.Context, name string) (int, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.counters[name], nil
		},
		refuses: true,
		rows: func(_ context.Context, app string) (n int, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for name, r := range s.shards {
				if strings.HasPrefix(name, app+"\n") {
					n += 1 + len(r.done) + len(r.dead) + len(r.ids)
				}
			}
			return n, nil
		},
		save: func() func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			counters, shards := maps.Clone(s.counters), maps.Clone(s.shards)
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.counters, s.shards = counters, shards
			}
		},
		loseAnswer: func(then func()) { s.loses(true, then) },
		loseWrite:  func(then func()) { s.loses(false, then) },
		down: func(down bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.isDown = down
		},
	}
}

func (s *store) loses(answer bool, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose, s.answer, s.then = true, answer, then
}
