package filesource

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/runnelhq/runnel/consumer"
)

// Shards lists all shards, parents before their children. A file whose name can be no shard's, or whose parents cannot be read, is left out, and an error
// says so last.
func (s *Source) Shards(ctx context.Context, st consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		listed, err := s.listed(ctx, st)
		for _, sh := range listed {
			if !yield(sh, nil) {
				return
			}
		}
		if err != nil {
			yield(consumer.Shard{}, err)
		}
	}
}

func (s *Source) listed(ctx context.Context, st consumer.Stream) ([]consumer.Shard, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	shards, faulty, err := s.dir.shards()
	if err != nil {
		if err := s.same(st); err != nil {
			return nil, err
		}
		return nil, s.errorf("list it: %w", explain(err))
	}
	if err := s.same(st); err != nil {
		return nil, err
	}
	if s.cfg.Closed {
		for i := range shards {
			shards[i].Closed = true
		}
	}
	if faulty != nil {
		faulty = s.errorf("%w", explain(faulty))
	}
	return shards, faulty
}

// shards lists the shards; faulty is about the first of the files that are left out.
func (d directory) shards() (shards []consumer.Shard, faulty, err error) {
	files, err := os.ReadDir(string(d))
	if err != nil {
		return nil, nil, err
	}
	// What says who the parents are was there before the shard, but need not be in the same listing.
	later, err := os.ReadDir(string(d))
	if err != nil {
		return nil, nil, err
	}
	there := make(map[string]bool, len(later))
	for _, f := range later {
		there[f.Name()] = true
	}
	for _, f := range files {
		id, ok := shardOf(f.Name())
		if !ok || id == "" || id[0] == '.' || !d.regular(f) {
			continue
		}
		sh, err := d.shard(id, there)
		if err != nil {
			if faulty == nil {
				faulty = err
			}
			continue
		}
		shards = append(shards, sh)
	}
	shards, circle := parentsFirst(shards)
	if circle != "" && faulty == nil {
		faulty = fmt.Errorf("shard %s is named as an ancestor of its own: correct %s", circle, d.parents(circle))
	}
	return shards, faulty, nil
}

func (d directory) regular(f fs.DirEntry) bool {
	if f.Type()&fs.ModeSymlink == 0 {
		return f.Type().IsRegular()
	}
	info, err := os.Stat(d.path(f.Name()))
	return err == nil && info.Mode().IsRegular()
}

func (d directory) shard(id string, there map[string]bool) (consumer.Shard, error) {
	if err := checkID(id); err != nil {
		return consumer.Shard{}, fmt.Errorf("the file %q cannot be a shard: %w: rename it", brief(id+linesSuffix), err)
	}
	sh := consumer.Shard{ID: id, Closed: there[id+endSuffix]}
	if there[id+parentsSuffix] {
		var err error
		if sh.Parents, err = d.parentsOf(id); err != nil {
			return consumer.Shard{}, fmt.Errorf("the parents of shard %s: %w", id, err)
		}
	}
	return sh, nil
}

// childrenOf are the shards that name a shard as a parent, as far as they can be found.
func (d directory) childrenOf(shard string) ([]consumer.Shard, error) {
	shards, _, err := d.shards()
	return slices.DeleteFunc(shards, func(sh consumer.Shard) bool { return !slices.Contains(sh.Parents, shard) }), err
}

// parentsFirst orders shards so that parents come before their children where both are there. A shard that is its own ancestor is left out, with what descends
// from it, and named.
func parentsFirst(shards []consumer.Shard) (ordered []consumer.Shard, circle string) {
	const (
		unseen = iota
		above  // its ancestors are being placed
		placed
		refused
	)
	index, state := make(map[string]int, len(shards)), make([]int, len(shards))
	for i, sh := range shards {
		index[sh.ID] = i
	}
	var place func(i int) bool
	place = func(i int) bool {
		switch state[i] {
		case placed:
			return true
		case above:
			circle = shards[i].ID
			return false
		case refused:
			return false
		}
		state[i] = above
		for _, parent := range shards[i].Parents {
			if at, ok := index[parent]; ok && !place(at) {
				state[i] = refused
				return false
			}
		}
		state[i] = placed
		ordered = append(ordered, shards[i])
		return true
	}
	for i := range shards {
		place(i)
	}
	return ordered, circle
}
