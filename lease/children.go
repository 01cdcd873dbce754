package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/planted"
)

// bear sees to it that every child has a row that names all its parents, and gives the rows that a read found afterwards. It retries until that is so, ctx ends or the
// lease is lost.
func (l *Lease) bear(ctx context.Context, children []Shard) (ids []string, rows map[string]shardRow, err error) {
	children = slices.Clone(children)
	for i, c := range children {
		if err := checkShard(c); err != nil {
			return nil, nil, err
		}
		children[i].Parents = union(c.Parents, []string{l.shard.ID})
		ids = append(ids, c.ID)
	}
	if planted.Is(planted.EndFirst) {
		return ids, nil, nil
	}
	for fails := 1; len(children) > 0; fails++ {
		rows, err = l.bearOnce(ctx, children)
		if err == nil {
			break
		}
		if waitErr := l.pause(ctx, fails); waitErr != nil {
			return nil, nil, errors.Join(waitErr, err)
		}
		if !l.Valid() {
			return nil, nil, ErrLost
		}
		l.session.report(l.failed("make the children of", err))
	}
	return ids, rows, nil
}

// bearOnce writes the rows that are missing or lack a parent, and reads all of them.
func (l *Lease) bearOnce(ctx context.Context, children []Shard) (map[string]shardRow, error) {
	rows, err := l.session.readShards(ctx, l.keys, children)
	if err != nil {
		return nil, err
	}
	var writes []Row
	for _, c := range children {
		r, there := rows[c.ID]
		changed := !there
		if there {
			r, changed = withParents(r, c.Parents)
		} else {
			r = newRow(l.keys.shard(c.ID), c, checkpoint.Start{}, l.holder.generation)
		}
		if changed {
			writes = append(writes, r.listed(r.encode()))
		}
	}
	if len(writes) == 0 {
		return rows, nil
	}
	err = errors.Join(l.session.req.put(ctx, writes...)...)
	rows, readErr := l.session.readShards(ctx, l.keys, children) // sent after the writes: it says what became of them
	if readErr != nil {
		return nil, errors.Join(err, readErr)
	}
	for _, c := range children {
		r, there := rows[c.ID]
		if !there {
			return nil, fmt.Errorf("shard %s has no row yet: %w", c.ID, errors.Join(err, errUnknown))
		}
		if _, lacks := withParents(r, c.Parents); lacks {
			return nil, fmt.Errorf("the row of shard %s lacks a parent: %w", c.ID, errors.Join(err, errUnknown))
		}
	}
	for _, r := range rows {
		l.learn(r)
	}
	return rows, nil
}

// readShards reads the rows that exist of shards, by ID.
func (s *session) readShards(ctx context.Context, k keys, shards []Shard) (map[string]shardRow, error) {
	names := make([]string, len(shards))
	for i, c := range shards {
		names[i] = k.shard(c.ID)
	}
	found, err := s.req.get(ctx, names...)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]shardRow, len(found))
	for _, row := range found {
		if row.Version == 0 {
			continue
		}
		r, err := decodeShard(row)
		if err != nil {
			return nil, err
		}
		rows[r.ID] = r
	}
	return rows, nil
}
