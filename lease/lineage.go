package lease

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/runnelhq/runnel/checkpoint"
)

// checkShard refuses what cannot be kept in a row and found again.
func checkShard(s Shard) error {
	if s.ID == "" {
		return errors.New("lease: a shard without an ID")
	}
	for _, text := range append([]string{s.ID, s.Meta}, s.Parents...) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("lease: shard %q: %q is not valid UTF-8: its source must encode it", s.ID, text)
		}
	}
	return nil
}

// startOf is where a shard begins that has no row yet. What a shard of ours came before is read from its beginning, or records between the parent's last and
// the application's start would be lost. In the first listing nothing came before: descendants that existed when the application began must not replay
// their past.
func startOf(app appRow, parentHasRow bool) checkpoint.Start {
	if app.Listed && parentHasRow {
		return checkpoint.Start{}
	}
	return app.Start
}

// generationOf is the generation of a shard that has no row yet: its parents' where they were reset, or what comes after a reset shard would count as older.
func generationOf(app appRow, s Shard, rows map[string]shardRow) uint64 {
	generation := app.Generation
	for _, id := range s.Parents {
		generation = max(generation, rows[id].Generation)
	}
	return generation
}

// newRow is the row of a shard that has none.
func newRow(key string, s Shard, start checkpoint.Start, generation uint64) shardRow {
	return shardRow{
		head: head{key: key}, ID: s.ID,
		State: open, Generation: generation, Start: start,
		Parents: union(nil, s.Parents), Closed: s.Closed, Meta: s.Meta,
	}
}

// withParents is the row with parents that it did not know of, and false if it knows all or has ended.
func withParents(r shardRow, parents []string) (shardRow, bool) {
	all := union(r.Parents, parents)
	if r.State == ended || len(all) == len(r.Parents) {
		return r, false
	}
	r.Parents = all
	return r, true
}

// ready tells whether a shard counts as one that can be worked on, as far as rows tell: every parent has ended, or has no row. Whether a parent without a row is gone is
// asked by whoever takes the shard; all workers must count the same shards, and the rows are what they share.
func ready(r shardRow, row func(id string) (shardRow, bool)) bool {
	for _, id := range r.Parents {
		if p, ok := row(id); ok && p.State != ended {
			return false
		}
	}
	return true
}
