package redislease

import (
	"context"
	_ "embed"

	"github.com/runnelhq/runnel/internal/redismaster"
)

var (
	//go:embed head.lua
	head string
	//go:embed get.lua
	getText string
	//go:embed list.lua
	listText string
	//go:embed put.lua
	putText string
	//go:embed delete.lua
	deleteText string

	getScript    = redismaster.NewScript(head, getText)
	listScript   = redismaster.NewScript(head, listText)
	putScript    = redismaster.NewScript(head, putText)
	deleteScript = redismaster.NewScript(head, deleteText)
)

// batch is what one run of a script is about: rows of one application.
type batch struct {
	keys   []string       // of Redis
	groups map[string]int // by name, from 1: their place among the keys
	args   []any
	places []int // of its rows in the caller's
	bytes  int
}

// A run of a script blocks the server for everybody, so it is bounded: a hundred rows of 1 KB take about a millisecond, and a megabyte and one row more some four.
const (
	maxRows  = 100
	maxBytes = 1 << 20
)

// batches cuts what is added to it: those of one application keep their order.
type batches struct {
	store *Store
	open  map[string]*batch // by application
	all   []*batch
}

func (b *batches) add(p place, i, bytes int, args ...any) {
	to := b.open[p.app]
	if to == nil || len(to.places) == maxRows || to.bytes >= maxBytes {
		to = &batch{keys: []string{b.store.counterKey(p.app)}, groups: map[string]int{}}
		b.open[p.app] = to
		b.all = append(b.all, to)
	}
	if to.groups[p.group] == 0 {
		rows, changes := b.store.groupKeys(p)
		to.groups[p.group] = len(to.groups) + 1
		to.keys = append(to.keys, rows, changes)
	}
	to.args = append(append(to.args, to.groups[p.group], p.name), args...)
	to.places = append(to.places, i)
	to.bytes += bytes
}

// read runs a script that writes nothing.
func (s *Store) read(ctx context.Context, run redismaster.Script, keys []string, args []any) ([]any, error) {
	return s.client.Run(ctx, run, keys, args...).Slice()
}

// change runs a script that writes. With an error it may have written; short is one that says that it has, and that too few replicas acknowledged it.
func (s *Store) change(ctx context.Context, run redismaster.Script, b *batch) (answers []any, short, err error) {
	answer, short := s.client.RunAndWait(ctx, s.cfg.Replicas, run, b.keys, b.args...)
	answers, err = answer.Slice()
	return answers, short, err
}
