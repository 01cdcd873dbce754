package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Pause has shards released and taken by nobody, or the whole application if none is named, until [Operator.Resume]. It returns when no worker works on them any longer.
func (o Operator) Pause(ctx context.Context, shards ...string) error {
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	if len(shards) > 0 {
		for _, id := range shards {
			if _, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
				next, change, err := asking(r, request{Do: askPause})
				return next, change, refusal(err)
			}); err != nil {
				return err
			}
		}
		return d.released(ctx, shards)
	}
	if err := d.updateApp(ctx, func(r appRow) (appRow, bool) {
		was := r.Paused
		r.Paused = true
		return r, !was
	}); err != nil {
		return err
	}
	rows, err := d.shards(ctx)
	if err != nil {
		return err
	}
	return d.released(ctx, slices.Sorted(maps.Keys(rows)))
}

// Resume takes back what [Operator.Pause] asked: of the shards, or of the whole application if none is named. Shards that were paused by name stay so until they are resumed by name.
func (o Operator) Resume(ctx context.Context, shards ...string) error {
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	for _, id := range shards {
		if _, err := d.updateShard(ctx, id, func(r shardRow) (shardRow, bool, error) {
			next, change := answered(r, request{Do: askPause})
			return next, change, nil
		}); err != nil {
			return err
		}
	}
	if len(shards) > 0 {
		return nil
	}
	return d.updateApp(ctx, func(r appRow) (appRow, bool) {
		was := r.Paused
		r.Paused = false
		return r, was
	})
}

// Drain takes every shard from the workers of a name, as [Config].Worker or a session has it, and gives them none until [Operator.Undrain]: others take over. It returns when they have none. A
// worker that is started later under that name is another session, and gets its share.
func (o Operator) Drain(ctx context.Context, worker string) error {
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	sessions, err := d.drain(ctx, worker, true)
	if err != nil {
		return err
	}
	for {
		rows, err := d.shards(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, r := range rows {
			if slices.Contains(sessions, r.Owner) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if err := d.clock.Wait(ctx, d.poll); err != nil {
			return fmt.Errorf("lease: worker %s still has %d shards: %w", worker, left, err)
		}
	}
}

// Undrain takes back what [Operator.Drain] asked.
func (o Operator) Undrain(ctx context.Context, worker string) error {
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	_, err = d.drain(ctx, worker, false)
	return err
}

// drain writes the operator's word into the members' rows, and gives their sessions.
func (d *desk) drain(ctx context.Context, worker string, yes bool) (sessions []string, err error) {
	var keys []string
	for row, err := range d.req.list(ctx, d.keys.members(), "") {
		if err != nil {
			return nil, err
		}
		if r, err := decodeMember(row); err == nil && (r.Worker == worker || lastName(row.Key) == worker) {
			keys = append(keys, row.Key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("lease: application %q has no worker %q: Describe names those that it has", d.keys.app, worker)
	}
	for _, key := range keys {
		sessions = append(sessions, lastName(key))
		if err := d.persist(ctx, func() (bool, error) {
			rows, err := d.req.get(ctx, key)
			if err != nil || rows[key].Version == 0 {
				return err == nil, err // it has left
			}
			r, err := decodeMember(rows[key])
			if err != nil || r.Drain == yes {
				return err == nil, err
			}
			r.Drain = yes
			return false, d.req.put(ctx, r.listed(r.encode()))[0]
		}); err != nil {
			return nil, err
		}
	}
	return sessions, nil
}
