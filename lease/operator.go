package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/ground"
)

// ErrNoApplication is wrapped by the errors of an [Operator] whose application has no rows in the store.
var ErrNoApplication = errors.New("lease: no such application")

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

// desk is an operator at work: one call.
type desk struct {
	req    requests
	clock  clock
	keys   keys
	expiry time.Duration
	poll   time.Duration
	app    appRow
	seen   map[string]*seen // sessions, and how long each has stood still
}

// open reads the application's row.
func (o Operator) open(ctx context.Context) (*desk, error) {
	if o.Store == nil || o.App == "" {
		return nil, errors.New("lease: an Operator needs a Store and an App")
	}
	if o.Expiry < 0 || o.Poll < 0 {
		return nil, fmt.Errorf("lease: Operator: Expiry is %v and Poll %v: give positive durations, or 0 for the defaults", o.Expiry, o.Poll)
	}
	c := clock{ground.From(ctx)}
	d := &desk{
		req: requests{o.Store, operatorRequest, c}, clock: c, keys: keys{app: o.App},
		expiry: cmp.Or(o.Expiry, 10*time.Second), poll: cmp.Or(o.Poll, 500*time.Millisecond),
		seen: make(map[string]*seen),
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
		return fmt.Errorf("%w: %q has no row %s in this store", ErrNoApplication, d.keys.app, key)
	}
	if d.app, err = decodeApp(rows[key]); err != nil {
		return err
	}
	d.keys.incarnation = d.app.Incarnation
	return nil
}

// updateApp has step change the application's row, until that is stored or step says that it need not.
func (d *desk) updateApp(ctx context.Context, step func(appRow) (appRow, bool)) error {
	return d.persist(ctx, func() (bool, error) {
		if err := d.readApp(ctx); err != nil {
			return false, err
		}
		next, change := step(d.app)
		if !change {
			return true, nil
		}
		return false, d.req.put(ctx, next.quietly(next.encode()))[0] // whatever the answer, the next look says what became of it
	})
}

// updateShard is updateApp for a shard's row. It gives the row as it is then.
func (d *desk) updateShard(ctx context.Context, id string, step func(shardRow) (shardRow, bool, error)) (r shardRow, err error) {
	key := d.keys.shard(id)
	err = d.persist(ctx, func() (bool, error) {
		rows, err := d.req.get(ctx, key)
		if err != nil {
			return false, err
		}
		if rows[key].Version == 0 {
			return false, fmt.Errorf("%w: shard %s has no row", errRefused, id)
		}
		if r, err = decodeShard(rows[key]); err != nil {
			return false, fmt.Errorf("%w: %w", errRefused, err)
		}
		next, change, err := step(r)
		if err != nil || !change {
			return err == nil, err
		}
		return false, d.req.put(ctx, next.listed(next.encode()))[0]
	})
	return r, err
}

// errRefused is what no second attempt mends.
var errRefused = errors.New("lease: refused")

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

// shards reads the rows of all shards of the incarnation, consistently: a listing is a hint.
func (d *desk) shards(ctx context.Context) (map[string]shardRow, error) {
	var names []string
	for row, err := range d.req.list(ctx, d.keys.shards(), "") {
		if err != nil {
			return nil, err
		}
		names = append(names, row.Key)
	}
	found, err := d.req.get(ctx, names...)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]shardRow, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if found[key].Version == 0 {
			continue
		}
		r, err := decodeShard(found[key])
		if err != nil {
			return nil, err
		}
		rows[r.ID] = r
	}
	return rows, nil
}

// owner judges a session as a worker does: dead in state D, or missing, or with a heartbeat that stood still for its expiry. One that stands still is marked as dead, so that it
// stops if it ever goes on.
func (d *desk) owner(ctx context.Context, name string) (ownership, error) {
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
	if s == nil || r.version != 0 && (s.row.version == 0 || s.row.HB != r.HB) || r.version == 0 && s.row.version != 0 {
		known := r
		if s != nil && r.version == 0 {
			known = s.known
		}
		s = &seen{row: r, since: now, known: known}
		d.seen[name] = s
	}
	s.row = r
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

// released waits until no shard of ids has an owner: its owner lets go, or is dead and is taken off the row.
func (d *desk) released(ctx context.Context, ids []string) error {
	for {
		var owned []string
		var last error
		for _, id := range ids {
			free, err := d.release(ctx, id)
			if errors.Is(err, errRefused) || errors.Is(err, ErrRow) {
				return err
			}
			if !free {
				owned, last = append(owned, id), errors.Join(last, err)
			}
		}
		if len(owned) == 0 {
			return nil
		}
		if err := d.clock.Wait(ctx, d.poll); err != nil {
			return fmt.Errorf("lease: %d shards are still worked on, first %s: %w", len(owned), owned[0], errors.Join(err, last))
		}
	}
}

// release tells whether a shard has no owner, after taking off a dead one.
func (d *desk) release(ctx context.Context, id string) (free bool, err error) {
	var owner ownership
	r, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
		if r.Owner == "" {
			return r, false, nil
		}
		var err error
		if owner, err = d.owner(ctx, r.Owner); err != nil || owner != ownerDead { // read after the row
			return r, false, err
		}
		next, err := forced(r, owner)
		return next, err == nil, err
	})
	return err == nil && r.Owner == "", err
}
