package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/planted"
)

// Reset says what [Operator.Reset] has processed again.
type Reset struct {
	// To is where to begin: the zero Start for the oldest record held, an instant, or, for a single shard, after a position. LATEST is none: it would skip records.
	To checkpoint.Start
	// Shards are the shards to reset, with all their descendants, which are read from their beginning again.
	Shards []string
	// All resets every shard. It and Shards exclude each other, and one of them must be there: a list may be empty by mistake.
	All bool
	// Held tells whether the service still holds records of a shard. A shard that it does not hold stays as it is, ended or not. nil: it holds all.
	Held func(ctx context.Context, shard string) (bool, error)
}

// resetting is the reset that is under way, in the application's row: no two meet, and one that was broken off goes on in its generation.
type resetting struct {
	Generation uint64           `json:"generation"`
	Start      checkpoint.Start `json:"start"`
	Shards     []string         `json:"shards"` // none: all
}

func (r *resetting) String() string {
	what := "all shards"
	if len(r.Shards) > 0 {
		what = fmt.Sprintf("shards %q", r.Shards)
	}
	return fmt.Sprintf("a reset of %s to %s, generation %d", what, r.Start, r.Generation)
}

func (r *resetting) same(other *resetting) bool {
	return r.Start == other.Start && slices.Equal(r.Shards, other.Shards)
}

// opened is the application's row in which a reset is under way, and false if that one is already. highest is the highest generation of a shard.
func opened(app appRow, want resetting, highest uint64) (next appRow, changed bool, err error) {
	switch {
	case app.Reset == nil:
	case app.Reset.same(&want):
		return app, false, nil
	default:
		return app, false, fmt.Errorf("%s is under way: call that again, with the same To and Shards, and let it end", app.Reset)
	}
	want.Generation = max(app.Generation, highest) + 1
	app.Reset = &want
	if len(want.Shards) == 0 {
		app.Generation = want.Generation
	}
	return app, true, nil
}

// settledReset is the application's row without the reset to a generation, and false if that one is not under way.
func settledReset(app appRow, generation uint64) (next appRow, changed bool) {
	if app.Reset == nil || app.Reset.Generation != generation {
		return app, false
	}
	app.Reset = nil
	return app, true
}

// Reset has shards processed again, in a new generation, in which sinks apply again what they applied before. It returns the generation. First every shard concerned is released, and taken by nobody; then the
// descendants are reset, and then what they descend from, so that no child is read on while its parent is read again; at last all are let go, but for those that are paused by name. If it
// ends in the middle the shards rest: call it again with the same To and Shards, and it goes on where it was, in the same generation. Until then another reset is refused.
func (o Operator) Reset(ctx context.Context, what Reset) (generation uint64, err error) {
	defer func() { err = o.failed("reset", err) }()
	d, err := o.open(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := d.readable(ctx)
	if err != nil {
		return 0, err
	}
	want := resetting{Start: what.To, Shards: slices.Sorted(slices.Values(what.Shards))}
	want.Shards = slices.Compact(want.Shards)
	if err := what.check(rows, d.app.Reset != nil && d.app.Reset.same(&want)); err != nil {
		return 0, err
	}
	if what.Held != nil {
		what.Held = remembered(what.Held)
	}
	if _, err := what.order(ctx, rows); err != nil { // before anything is written
		return 0, err
	}
	if generation, err = d.beginReset(ctx, want, rows); err != nil {
		return 0, err
	}
	if err := d.reset(ctx, what, generation, rows); err != nil {
		return generation, fmt.Errorf("to generation %d: %w: what was reached so far rests; call it again with the same To and Shards to have it go on", generation, err)
	}
	return generation, nil
}

// check is what is wrong with a reset. One that goes on may name shards that were finished, and removed, since it began.
func (what Reset) check(rows map[string]shardRow, goesOn bool) error {
	switch kind := what.To.Kind(); {
	case what.All && len(what.Shards) > 0:
		return errors.New("Reset.All is set and Reset.Shards names some: choose one")
	case !what.All && len(what.Shards) == 0:
		return fmt.Errorf("Reset.Shards: %w: Reset.All resets every shard", errNoneNamed)
	case kind == checkpoint.StartLatest:
		return errors.New("Reset.To is LATEST, which is no place: give an instant")
	case kind == checkpoint.StartAfter && len(what.Shards) != 1:
		return fmt.Errorf("Reset.To is %s, a place in one shard, and Reset.Shards has %d: name that shard", what.To, len(what.Shards))
	}
	if err := new(checkpoint.Start).UnmarshalText([]byte(what.To.String())); err != nil {
		return fmt.Errorf("Reset.To cannot be stored: give another: %w", err)
	}
	for _, id := range what.Shards {
		if rows[id].version == 0 && !goesOn {
			return fmt.Errorf("Reset.Shards has %q, which has no row: Describe names those that there are", id)
		}
	}
	return nil
}

// beginReset has the application's row say that a reset is under way, and gives its generation.
func (d *desk) beginReset(ctx context.Context, want resetting, rows map[string]shardRow) (uint64, error) {
	var highest uint64
	for _, r := range rows {
		highest = max(highest, r.Generation)
	}
	err := d.updateApp(ctx, func(r appRow) (appRow, bool, error) { return opened(r, want, highest) })
	if err != nil {
		return 0, err
	}
	return d.app.Reset.Generation, nil
}

// reset goes all the way, in steps that do nothing where they were done before.
func (d *desk) reset(ctx context.Context, what Reset, generation uint64, rows map[string]shardRow) error {
	ask := func(id string) request {
		q := request{Do: askReset, Generation: generation}
		if len(what.Shards) == 0 || slices.Contains(what.Shards, id) {
			q.Start = what.To
		}
		return q
	}
	var order []string
	for asked := map[string]bool{}; ; {
		var err error
		if order, err = what.order(ctx, rows, askedFor(rows, generation)...); err != nil {
			return err
		}
		news := slices.DeleteFunc(slices.Clone(order), func(id string) bool {
			r := rows[id]
			return asked[id] || r.Generation >= generation && !r.wanted()
		})
		if len(news) == 0 {
			break
		}
		if err := d.each(ctx, "ask for", news, func(r shardRow) (shardRow, bool, error) { return asking(r, ask(r.ID)) }); err != nil {
			return err
		}
		for _, id := range news {
			asked[id] = true
		}
		// another operator may have come to the end of the same reset meanwhile, and what it let go of is worked on again
		if err := d.released(ctx, order, func(r shardRow) bool { return r.wanted() && r.Generation < generation }); err != nil {
			return err
		}
		if rows, err = d.readable(ctx); err != nil { // children that were made meanwhile are among them
			return err
		}
	}
	order = slices.DeleteFunc(order, func(id string) bool { r := rows[id]; return !r.wanted() })
	if planted.Is(planted.ParentFirst) {
		slices.Reverse(order)
	}
	if err := d.each(ctx, "reset", order, func(r shardRow) (shardRow, bool, error) { return reset(r, ask(r.ID)) }); err != nil {
		return err
	}
	if err := d.each(ctx, "let go of", order, func(r shardRow) (shardRow, bool, error) { return answered(r, ask(r.ID)) }); err != nil {
		return err
	}
	return d.updateApp(ctx, func(r appRow) (appRow, bool, error) {
		next, changed := settledReset(r, generation)
		return next, changed, nil
	})
}

// each updates shards' rows one after the other. One that is gone meanwhile was finished.
func (d *desk) each(ctx context.Context, what string, ids []string, step func(shardRow) (shardRow, bool, error)) error {
	for _, id := range ids {
		if err := d.change(ctx, id, func(r shardRow) (shardRow, bool, error) {
			if r.version == 0 {
				return r, false, nil
			}
			return step(r)
		}); err != nil {
			return fmt.Errorf("%s shard %s: %w", what, id, err)
		}
	}
	return nil
}

// remembered asks once for each shard: what is reset does not change meanwhile.
func remembered(held func(context.Context, string) (bool, error)) func(context.Context, string) (bool, error) {
	known := make(map[string]bool)
	return func(ctx context.Context, id string) (bool, error) {
		if is, ok := known[id]; ok {
			return is, nil
		}
		is, err := held(ctx, id)
		if err == nil {
			known[id] = is
		}
		return is, err
	}
}

// askedFor is the shards of which a reset to a generation has been asked: it must come to their end, also when the row of what they descend from is removed meanwhile.
func askedFor(rows map[string]shardRow, generation uint64) []string {
	var ids []string
	for id, r := range rows {
		if q, err := r.asked(); err == nil && q.Do == askReset && q.Generation == generation {
			ids = append(ids, id)
		}
	}
	return ids
}

// order is the shards that are reset, and others, each after all its descendants.
func (what Reset) order(ctx context.Context, rows map[string]shardRow, others ...string) ([]string, error) {
	roots := slices.Concat(what.Shards, others)
	if len(what.Shards) == 0 {
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
		if r := rows[id]; what.Held != nil && !r.reopening() { // what was asked for is let go of, held or not
			held, err := what.Held(ctx, id)
			if err != nil {
				return fmt.Errorf("ask whether the service holds shard %s: %w", id, err)
			}
			if !held {
				return nil
			}
		}
		order = append(order, id)
		return nil
	}
	for _, id := range roots {
		if err := visit(id); err != nil {
			return nil, err
		}
	}
	return order, nil
}
