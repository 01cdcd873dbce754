package redisdedup

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// redrive applies a record that rests among the dead. It is two round trips: f is called for one that does.
func (s *Sink) redrive(ctx context.Context, m dedup.Mark, f func(w *Write, fresh []int) error) error {
	if m.Scope == dedup.PerID {
		return s.redriveID(ctx, m, f)
	}
	k, lanes := s.keys(m), []string{m.Lane()}
	member := among(m)
	rows, err := s.read(ctx, &request{app: m.App, keys: k.all(), expect: append(asking(k, lanes), expectation{ask: []string{"ZSCORE", k.dead(), member}})})
	if err != nil {
		return err
	}
	st, err := s.parseState(ctx, m, lanes, rows)
	if err != nil {
		return err
	}
	fresh, err := marks.Redrive(st.Seal, st.done[lanes[0]].Done, rows[len(rows)-1] != "", m)
	if err != nil {
		return err
	}
	if !fresh {
		return s.acknowledged(ctx, m)
	}
	w, err := s.writeOf(m, []int{0}, f)
	if err != nil {
		return err
	}
	r := &request{
		app: m.App, keys: k.all(), write: w, replicas: s.cfg.Replicas,
		expect: []expectation{{[]string{"ZSCORE", k.dead(), member}, []string{"0"}}},
		marks:  [][]string{{"ZREM", k.dead(), member}},
	}
	a, short, err := s.send(ctx, r)
	switch {
	case err != nil:
		return err
	case a.said == "ok":
		return short
	case a.said == "rows": // it was redriven meanwhile, perhaps by this call, whose answer was lost; or its shard was reset, and has applied it
		return s.acknowledged(ctx, m)
	}
	return s.refused(ctx, r, a)
}

// redriveID is redrive with PerID.
func (s *Sink) redriveID(ctx context.Context, m dedup.Mark, f func(w *Write, fresh []int) error) error {
	key := s.keys(m).id(m.Position)
	ask := []expectation{{ask: []string{"GET", key}}}
	rows, err := s.read(ctx, &request{app: m.App, keys: []string{key}, expect: ask})
	for {
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return s.broken(ctx, key, fmt.Errorf("the script read %d rows", len(rows)))
		}
		e, err := parseEntry(rows[0])
		if err != nil {
			return s.broken(ctx, key, err)
		}
		fresh, err := e.Redrive(m)
		if err != nil {
			return err
		}
		if !fresh {
			return s.acknowledged(ctx, m)
		}
		w, err := s.writeOf(m, []int{0}, f)
		if err != nil {
			return err
		}
		ask[0].want = rows
		r := &request{app: m.App, keys: []string{key}, expect: ask, write: w, replicas: s.cfg.Replicas, marks: [][]string{s.setID(m, false)}}
		a, short, err := s.send(ctx, r)
		switch {
		case err != nil:
			return err
		case a.said == "ok":
			return short
		case a.said != "rows":
			return s.refused(ctx, r, a)
		}
		rows = a.rows
	}
}
