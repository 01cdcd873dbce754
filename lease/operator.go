package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// ErrNoApplication is wrapped by the errors of an [Operator] whose application has no rows in the store.
var ErrNoApplication = errors.New("no such application")

// Operator looks at an application and acts on it from outside, by its rows alone: it may run anywhere, also while no worker does. It is not made for many calls a
// second: each reads all rows. What it asks of a shard that is being worked on, the owner does: it finishes what is in flight, stores its last position and
// lets go. Only what a dead worker left is taken out of its hands.
//
// Its methods wait until what they ask is done, and end with the cause of ctx before. What was asked stays asked: call the method again to wait on, or the opposite one to take it back.
type Operator struct {
	Store  Store
	App    string        // the application, as [Config].App
	Expiry time.Duration // the workers' Timing.Expiry, for those that do not tell their own; default 10 s
	Poll   time.Duration // between two looks while it waits; default 500 ms
}

// limits of an operator's requests to the store.
const operatorRequest = 5 * time.Second

// failed names the application.
func (o Operator) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lease: %s application %q: %w", what, o.App, err)
}

// desk is an operator at work: one call.
type desk struct {
	req     requests
	clock   clock
	keys    keys
	expiry  time.Duration
	poll    time.Duration
	app     appRow
	seen    map[string]*seen // sessions, and how long each has stood still, in this history
	found   map[string]bool  // keys of shards' rows that a listing had: a later one may leave out what was written a moment ago
	history string
}

// open reads the application's row.
func (o Operator) open(ctx context.Context) (*desk, error) {
	if o.Store == nil || o.App == "" {
		return nil, errors.New("an Operator needs a Store and an App")
	}
	if o.Expiry < 0 || o.Poll < 0 {
		return nil, fmt.Errorf("an Operator's Expiry is %v and its Poll %v: give positive durations, or 0 for the defaults", o.Expiry, o.Poll)
	}
	c := clock{ground.From(ctx)}
	d := &desk{
		req: requests{o.Store, operatorRequest, c, nil}, clock: c, keys: keys{app: o.App},
		expiry: cmp.Or(o.Expiry, 10*time.Second), poll: cmp.Or(o.Poll, 500*time.Millisecond),
		seen: make(map[string]*seen), found: make(map[string]bool),
	}
	if err := d.readApp(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *desk) readApp(ctx context.Context) error {
	key := d.keys.application()
	rows, err := d.req.get(ctx, key)
	if err != nil {
		return err
	}
	if rows[key].Version == 0 {
		return fmt.Errorf("%w: this store has no row %s: give the name and the store that its workers have", ErrNoApplication, key)
	}
	app, err := decodeApp(rows[key])
	if err != nil {
		return err
	}
	if d.app.version != 0 && app.Incarnation != d.keys.incarnation { // its shards may have the same names
		return refusal(fmt.Errorf("stream %s has another incarnation now, %q, whose shards are not those that were asked for: call again if these are meant", app.Stream, app.Incarnation))
	}
	d.app = app
	d.keys.incarnation = d.app.Incarnation
	d.req.groups = d.keys.groups()
	return nil
}

// updateApp has step change the application's row, until that is stored or step says that it need not.
func (d *desk) updateApp(ctx context.Context, step func(appRow) (appRow, bool, error)) error {
	return d.persist(ctx, func() (bool, error) {
		if err := d.readApp(ctx); err != nil {
			return false, err
		}
		next, change, err := step(d.app)
		if err != nil || !change {
			return err == nil, refusal(err)
		}
		if err := d.req.put(ctx, next.quietly(next.encode()))[0]; err != nil {
			return false, err // the next look says what became of it
		}
		next.version++
		d.app = next
		return true, nil
	})
}

// updateShard is updateApp for a shard's row, which has version 0 if it does not exist. It gives the row as it is then.
func (d *desk) updateShard(ctx context.Context, id string, step func(shardRow) (shardRow, bool, error)) (r shardRow, err error) {
	key := d.keys.shard(id)
	err = d.persist(ctx, func() (bool, error) {
		rows, err := d.req.get(ctx, key)
		if err != nil {
			return false, err
		}
		if r = (shardRow{ID: id}); rows[key].Version != 0 {
			if r, err = decodeShard(rows[key]); err != nil {
				return false, refusal(err)
			}
		}
		next, change, err := step(r)
		if err != nil || !change {
			return err == nil, err
		}
		if err := d.req.put(ctx, next.listed(next.encode()))[0]; err != nil {
			return false, err
		}
		r = next
		r.version++
		return true, nil
	})
	return r, err
}

// change is updateShard for a step that asks nobody: another attempt has the same error.
func (d *desk) change(ctx context.Context, id string, step func(shardRow) (shardRow, bool, error)) error {
	_, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
		next, change, err := step(r)
		return next, change, refusal(err)
	})
	return err
}

// errRefused is what no second attempt mends.
var errRefused = errors.New("refused")

// refusal marks an error of a row or a rule: another attempt has the same.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

// persist calls f until it is done, is refused, or has failed for as long as ctx lasts; a conflict is no failure.
func (d *desk) persist(ctx context.Context, f func() (bool, error)) error {
	retries := backoff.Policy{Base: 50 * time.Millisecond, Cap: 2 * time.Second}
	for fails := 0; ; {
		done, err := f()
		switch {
		case done:
			return nil
		case errors.Is(err, errRefused), errors.Is(err, ErrRow), errors.Is(err, ErrDenied), errors.Is(err, ErrNoApplication):
			return err
		case err == nil || errors.Is(err, ErrConflict):
			fails = 0
		default:
			fails++
		}
		if waitErr := d.clock.rest(ctx, retries, max(fails, 1)); waitErr != nil {
			return errors.Join(waitErr, err)
		}
	}
}

// readable reads the rows of all shards of the incarnation. The error names the rows that cannot be read.
func (d *desk) readable(ctx context.Context) (map[string]shardRow, error) {
	rows, corrupt, err := d.shards(ctx)
	return rows, errors.Join(err, corrupt)
}

// shards reads the rows of all shards of the incarnation, or of those named, consistently: a listing is a hint. Those that are corrupt it leaves out.
func (d *desk) shards(ctx context.Context, ids ...string) (rows map[string]shardRow, corrupt, err error) {
	var names []string
	for _, id := range ids {
		names = append(names, d.keys.shard(id))
	}
	if len(ids) == 0 {
		for row, err := range d.req.list(ctx, d.keys.shards(), "") {
			if err != nil {
				return nil, nil, err
			}
			d.found[row.Key] = true
		}
		names = slices.Sorted(maps.Keys(d.found))
	}
	found, err := d.req.get(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	rows = make(map[string]shardRow, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if found[key].Version == 0 {
			continue
		}
		r, err := decodeShard(found[key])
		if err != nil {
			corrupt = errors.Join(corrupt, err)
			continue
		}
		rows[r.ID] = r
	}
	return rows, corrupt, nil
}

// owner judges a session as a worker does: dead in state D, or missing, or with a heartbeat that stood still for its expiry. One that stands still is marked as dead, so that it
// stops if it ever goes on.
func (d *desk) owner(ctx context.Context, name string) (ownership, error) {
	history, err := d.req.history(ctx)
	if err != nil {
		return ownerUnknown, err
	}
	if history != d.history {
		d.history = history
		clear(d.seen) // heartbeats may have been forgotten
	}
	key := sessionKey(name)
	rows, err := d.req.get(ctx, key)
	if err != nil {
		return ownerUnknown, err
	}
	var r sessionRow
	if rows[key].Version != 0 {
		if r, err = decodeSession(rows[key]); err != nil {
			return ownerUnknown, err
		}
	}
	now := d.clock.mono()
	s := d.seen[name]
	switch {
	case s == nil:
		s = &seen{row: r, since: now, known: r}
	case r.version == 0 && s.row.version == 0: // missing still
	case r.version == 0:
		s = &seen{row: r, since: now, known: s.known}
	case s.row.version == 0 || r.HB != s.row.HB:
		s = &seen{row: r, since: now, known: r}
	}
	d.seen[name] = s
	still, _ := s.still(now, d.expiry)
	switch {
	case r.version != 0 && r.State == dead, r.version == 0 && still:
		return ownerDead, nil
	case r.version == 0:
		return ownerUnknown, nil
	case still:
		if next, dying := killed(r, s.row.HB); dying {
			return ownerAlive, d.req.put(ctx, next.listed(next.encode()))[0] // the next look says whether it is
		}
	}
	return ownerAlive, nil
}

// released waits until no shard of ids, or of all if ids is empty, has an owner while it is so: its owner lets go, or is dead and is taken off the row. Corrupt rows nobody owns.
func (d *desk) released(ctx context.Context, ids []string, so func(shardRow) bool) error {
	for owned := []shardRow(nil); ; {
		rows, _, err := d.shards(ctx, ids...)
		if err == nil {
			owned = slices.DeleteFunc(slices.Collect(maps.Values(rows)), func(r shardRow) bool { return r.Owner == "" || !so(r) })
			slices.SortFunc(owned, func(a, b shardRow) int { return strings.Compare(a.ID, b.ID) })
			var errs []error
			owned = slices.DeleteFunc(owned, func(r shardRow) bool {
				free, err := d.release(ctx, r.ID)
				errs = append(errs, err)
				return free
			})
			err = errors.Join(errs...)
		}
		switch {
		case err == nil && len(owned) == 0:
			return nil
		case errors.Is(err, ErrRow), errors.Is(err, ErrDenied):
			return err
		}
		if waitErr := d.clock.Wait(ctx, d.poll); waitErr != nil {
			if len(owned) > 0 {
				waitErr = fmt.Errorf("shard %s is still worked on by %s, and so are %d others: what was asked stays asked, call again to wait on: %w", owned[0].ID, owned[0].Owner, len(owned)-1, waitErr)
			}
			return errors.Join(waitErr, err)
		}
	}
}

// release tells whether a shard has no owner, after taking off a dead one.
func (d *desk) release(ctx context.Context, id string) (free bool, err error) {
	r, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
		if r.Owner == "" {
			return r, false, nil
		}
		owner, err := d.owner(ctx, r.Owner) // read after the row
		if planted.Is(planted.OwnedFreed) {
			owner = ownerDead
		}
		if err != nil || owner != ownerDead {
			return r, false, err
		}
		next, err := forced(r, owner)
		return next, err == nil, refusal(err)
	})
	return err == nil && r.Owner == "", err
}
