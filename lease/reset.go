package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
)

// Reset says what [Operator.Reset] has processed again.
type Reset struct {
	// To is where to begin: the zero Start for the oldest record held, an instant, or, for a single shard, after a position. LATEST is none: it would skip records.
	To checkpoint.Start
	// Shards are the shards to reset, with all their descendants, which are read from their beginning again. None: every shard.
	Shards []string
	// Held tells whether the service still holds records of a shard. A shard that it does not hold stays as it is, ended or not. nil: it holds all.
	Held func(ctx context.Context, shard string) (bool, error)
}

// Reset has shards processed again, in a new generation, in which sinks apply again what they applied before. It returns the generation. First every shard concerned is released, and taken by nobody; then the
// descendants are reset, and then what they descend from, so that no child is read on while its parent is read again; at last all are let go. If it
// ends in the middle the shards rest: call it again with the same To and Shards, and it goes on where it was, in the same generation.
func (o Operator) Reset(ctx context.Context, what Reset) (generation uint64, err error) {
	d, err := o.open(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := d.shards(ctx)
	if err != nil {
		return 0, err
	}
	if err := what.check(rows); err != nil {
		return 0, err
	}
	order, err := what.order(ctx, rows)
	if err != nil {
		return 0, err
	}
	if generation, err = d.generation(ctx, rows, order, len(what.Shards) == 0); err != nil {
		return 0, err
	}
	asks := make(map[string]request, len(order))
	for _, id := range order {
		q := request{Do: askReset, Generation: generation}
		if len(what.Shards) == 0 || slices.Contains(what.Shards, id) {
			q.Start = what.To
		}
		asks[id] = q
	}
	steps := []struct {
		what string
		step func(id string, r shardRow) (shardRow, bool, error)
		then func() error
	}{
		{"ask for", func(id string, r shardRow) (shardRow, bool, error) { return asking(r, asks[id]) }, func() error { return d.released(ctx, order) }},
		{"reset", func(_ string, r shardRow) (shardRow, bool, error) { return reset(r) }, nil},
		{"let go of", func(id string, r shardRow) (shardRow, bool, error) {
			next, change := answered(r, asks[id])
			return next, change, nil
		}, nil},
	}
	for _, s := range steps {
		for _, id := range order {
			if _, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
				next, change, err := s.step(id, r)
				return next, change, refusal(err)
			}); err != nil {
				return generation, fmt.Errorf("lease: reset to generation %d: %s shard %s: %w", generation, s.what, id, err)
			}
		}
		if s.then != nil {
			if err := s.then(); err != nil {
				return generation, fmt.Errorf("lease: reset to generation %d: %w", generation, err)
			}
		}
	}
	return generation, nil
}

// refusal marks the error of a pure step: another attempt has the same.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

func (what Reset) check(rows map[string]shardRow) error {
	switch kind := what.To.Kind(); {
	case kind == checkpoint.StartLatest:
		return errors.New("lease: Reset.To is LATEST, which is no place: give an instant")
	case kind == checkpoint.StartAfter && len(what.Shards) != 1:
		return fmt.Errorf("lease: Reset.To is %s, a place in one shard, and Reset.Shards has %d: name that shard", what.To, len(what.Shards))
	}
	for _, id := range what.Shards {
		if rows[id].version == 0 {
			return fmt.Errorf("lease: Reset.Shards: shard %q has no row", id)
		}
	}
	return nil
}

// order is the shards that are reset, each after all its descendants.
func (what Reset) order(ctx context.Context, rows map[string]shardRow) ([]string, error) {
	roots := slices.Clone(what.Shards)
	if len(roots) == 0 {
		roots = slices.Collect(maps.Keys(rows))
	}
	slices.Sort(roots)
	children := make(map[string][]string)
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		for _, parent := range rows[id].Parents {
			children[parent] = append(children[parent], id)
		}
	}
	var order []string
	done := make(map[string]bool)
	var visit func(id string) error
	visit = func(id string) error {
		if done[id] {
			return nil
		}
		done[id] = true
		for _, child := range children[id] {
			if err := visit(child); err != nil {
				return err
			}
		}
		if what.Held != nil {
			held, err := what.Held(ctx, id)
			if err != nil || !held {
				return err
			}
		}
		order = append(order, id)
		return nil
	}
	for _, id := range roots {
		if err := visit(id); err != nil {
			return nil, fmt.Errorf("lease: reset: ask whether the service holds shard: %w", err)
		}
	}
	return order, nil
}

// generation is the one that a reset raises to: that of a reset that is under way on these shards, or the next. The application's own is raised with it if all shards are reset.
func (d *desk) generation(ctx context.Context, rows map[string]shardRow, order []string, all bool) (uint64, error) {
	next := d.app.Generation + 1
	for _, r := range rows {
		next = max(next, r.Generation+1)
	}
	for _, id := range order {
		r := rows[id]
		q, err := r.asked()
		if err != nil {
			return 0, err
		}
		if q.Do == askReset {
			next = q.Generation
		}
	}
	if !all {
		return next, nil
	}
	return next, d.updateApp(ctx, func(r appRow) (appRow, bool) {
		was := r.Generation
		r.Generation = max(r.Generation, next)
		return r, was < next
	})
}
