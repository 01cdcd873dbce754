package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

var errNoneNamed = errors.New("no shard is named")

// Pause has shards released and taken by nobody until [Operator.Resume]. It returns when no worker works on them any longer. A shard that has ended is left alone; none at all is an
// error, since a list may be empty by mistake.
func (o Operator) Pause(ctx context.Context, shards ...string) (err error) {
	defer func() { err = o.failed("pause", err) }()
	if len(shards) == 0 {
		return fmt.Errorf("%w: PauseAll pauses the whole application", errNoneNamed)
	}
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	for _, id := range shards {
		if err := d.change(ctx, id, func(r shardRow) (shardRow, bool, error) {
			if r.version == 0 {
				return r, false, errNoRow(id)
			}
			next, _, err := asking(r, request{Do: askPause})
			return next, true, err // as in pauseApp
		}); err != nil {
			return err
		}
	}
	return d.released(ctx, shards, func(r shardRow) bool { return r.wanted() })
}

// PauseAll has every shard of the application released, and none taken, until [Operator.ResumeAll]. It returns when no worker works on any.
func (o Operator) PauseAll(ctx context.Context) (err error) {
	defer func() { err = o.failed("pause", err) }()
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	if err := d.pauseApp(ctx, true); err != nil {
		return err
	}
	if err := d.outdate(ctx); err != nil {
		return err
	}
	return d.released(ctx, nil, func(shardRow) bool { return true })
}

// outdate writes once more the rows of shards that nobody has: a take that was judged before the application was paused finds another version, and fails.
func (d *desk) outdate(ctx context.Context) error {
	var rows map[string]shardRow
	if err := d.persist(ctx, func() (_ bool, err error) {
		rows, _, err = d.shards(ctx) // what is corrupt nobody takes
		return err == nil, err
	}); err != nil {
		return err
	}
	free := slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(id string) bool { return rows[id].Owner != "" || rows[id].State == ended })
	return d.each(ctx, "outdate takes of", free, func(r shardRow) (shardRow, bool, error) { return r, r.Owner == "" && r.State == open, nil })
}

// ResumeAll takes back what [Operator.PauseAll] asked. Shards that were paused by name stay so until they are resumed by name.
func (o Operator) ResumeAll(ctx context.Context) (err error) {
	defer func() { err = o.failed("resume", err) }()
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	return d.pauseApp(ctx, false)
}

func (d *desk) pauseApp(ctx context.Context, yes bool) error {
	return d.updateApp(ctx, func(r appRow) (appRow, bool, error) {
		r.Paused = yes
		return r, true, nil // also if it is so: the opposite that was given up may be on its way yet, and must find another version
	})
}

// Resume takes back what [Operator.Pause] asked. In an application that is paused as a whole they rest all the same. One that has no row, for it ended and was removed, is an error, after
// the others were resumed.
func (o Operator) Resume(ctx context.Context, shards ...string) (err error) {
	defer func() { err = o.failed("resume", err) }()
	if len(shards) == 0 {
		return fmt.Errorf("%w: ResumeAll resumes an application that was paused as a whole", errNoneNamed)
	}
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	var missing error
	for _, id := range shards {
		if err := d.change(ctx, id, func(r shardRow) (shardRow, bool, error) {
			if r.version == 0 {
				missing = errors.Join(missing, errNoRow(id))
				return r, false, nil
			}
			next, _, err := answered(r, request{Do: askPause})
			return next, true, err // as in pauseApp
		}); err != nil {
			return errors.Join(err, missing)
		}
	}
	return missing
}

func errNoRow(id string) error {
	return fmt.Errorf("shard %q has no row: Describe names those that there are", id)
}

// Drain takes every shard from the workers of a name, as [Config].Worker or a session has it, and gives them none until [Operator.Undrain]: others take over, and where there are no others the shards rest. It returns when they have none. A
// worker that is started later under that name is another session, and gets its share.
func (o Operator) Drain(ctx context.Context, worker string) (err error) {
	defer func() { err = o.failed("drain", err) }()
	d, err := o.open(ctx)
	if err != nil {
		return err
	}
	sessions, err := d.drain(ctx, worker, true)
	if err != nil {
		return err
	}
	return d.released(ctx, nil, func(r shardRow) bool { return slices.Contains(sessions, r.Owner) })
}

// Undrain takes back what [Operator.Drain] asked.
func (o Operator) Undrain(ctx context.Context, worker string) (err error) {
	defer func() { err = o.failed("undrain", err) }()
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
		if r, err := decodeMember(row); err == nil && r.Worker == worker || lastName(row.Key) == worker {
			keys = append(keys, row.Key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no worker %q: Describe names those that there are", worker)
	}
	for _, key := range keys {
		sessions = append(sessions, lastName(key))
		if err := d.persist(ctx, func() (bool, error) {
			rows, err := d.req.get(ctx, key)
			if err != nil || rows[key].Version == 0 {
				return err == nil, err // it has left
			}
			r, err := decodeMember(rows[key])
			if err != nil {
				return false, refusal(err)
			}
			r.Drain = yes // written also if it is so, as in pauseApp
			err = d.req.put(ctx, r.listed(r.encode()))[0]
			return err == nil, err
		}); err != nil {
			return nil, err
		}
	}
	return sessions, nil
}
