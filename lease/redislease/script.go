package redislease

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
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

	getScript    = newScript(getText)
	listScript   = newScript(listText)
	putScript    = newScript(putText)
	deleteScript = newScript(deleteText)
)

// script is one of the store's, sent by its digest, and in full to a server that does not know it.
type script struct {
	*redis.Script
	text string
}

func newScript(text string) script { return script{redis.NewScript(head + text), head + text} }

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
func (s *Store) read(ctx context.Context, run script, keys []string, args []any) ([]any, error) {
	answer, err := run.Run(ctx, s.client, keys, args...).Slice()
	s.reload(ctx, err)
	return answer, err
}

// change runs a script that writes. With an error it may have written; short is one that says that it has, and that too few replicas acknowledged it.
func (s *Store) change(ctx context.Context, run script, b *batch) (answers []any, short, err error) {
	if s.cfg.Replicas == 0 {
		answers, err = s.read(ctx, run, b.keys, b.args)
		return answers, nil, err
	}
	master, err := s.master(ctx, b.keys[0])
	if err != nil {
		return nil, nil, err
	}
	patience := min(maxWait, master.Options().ReadTimeout/2)
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, max(time.Until(deadline)/2, time.Millisecond)) // 0 would wait for ever
	}
	// WAIT is about the writes of its own connection, and a pipeline has one.
	send := func(run func(redis.Scripter) *redis.Cmd) (written, waited *redis.Cmd) {
		pipe := master.Pipeline()
		written, waited = run(pipe), pipe.Do(ctx, "wait", s.cfg.Replicas, patience.Milliseconds())
		_, _ = pipe.Exec(ctx) // each command has its own error
		return written, waited
	}
	written, waited := send(func(to redis.Scripter) *redis.Cmd { return run.EvalSha(ctx, to, b.keys, b.args...) })
	if redis.HasErrorPrefix(written.Err(), "NOSCRIPT") {
		written, waited = send(func(to redis.Scripter) *redis.Cmd { return run.Eval(ctx, to, b.keys, b.args...) })
	}
	if answers, err = written.Slice(); err != nil {
		s.reload(ctx, err)
		return nil, nil, err
	}
	if n, err := waited.Int64(); err != nil {
		short = fmt.Errorf("it is written, but whether replicas have it is not known: %w", err)
	} else if n < int64(s.cfg.Replicas) {
		short = fmt.Errorf("it is written, but of the %d replicas that Config.Replicas wants %d acknowledged it within %v", s.cfg.Replicas, n, patience)
	}
	return answers, short, nil
}

// maxWait is the longest wait for replicas.
const maxWait = time.Second
