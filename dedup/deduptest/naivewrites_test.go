package deduptest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/runnelhq/runnel/dedup"
)

func (s *naive) Bury(ctx context.Context, ms []dedup.Mark) error {
	if s.has("buries at most a hundred") {
		ms = ms[:min(len(ms), 100)]
	}
	return s.write(ctx, ms, true, func(effects, []int) error { return nil })
}

func (s *naive) Apply(ctx context.Context, ms []dedup.Mark, f func(e effects, fresh []int) error) error {
	if s.has("applies at most a hundred") {
		ms = ms[:min(len(ms), 100)]
	}
	return s.write(ctx, ms, false, f)
}

func (s *naive) write(ctx context.Context, ms []dedup.Mark, bury bool, f func(e effects, fresh []int) error) (err error) {
	switch {
	case len(ms) == 0 && s.has("stumbles over nothing"):
		return fmt.Errorf("naive: %w", dedup.ErrUnavailable)
	case len(ms) == 0:
		return nil
	}
	if s.has("swallows panics") {
		defer func() {
			if v := recover(); v != nil {
				err = dedup.ErrUnavailable
			}
		}()
	}
	m, doubt := ms[0], false
	for {
		r, err := s.read(ctx, m, doubt)
		switch {
		case err != nil && s.has("passes what it cannot ask about"):
			return nil
		case err != nil && s.has("applies what it cannot ask about"):
			return s.effects(f, []int{0}, map[string]int{}, 1)
		case err != nil:
			return err
		}
		if m.Scope == dedup.PerID && s.has("fences records in no order") {
			if err := s.admits(m, r); err != nil {
				return err
			}
		}
		next := r.clone()
		fresh, err := s.decide(ms, r, next, bury)
		if err != nil {
			if s.has("leaves a part of what is out of order") {
				_, _ = s.swap(m, r, next, nil)
			}
			return err
		}
		adds := map[string]int{}
		switch {
		case s.has("marks before the effect"):
			if swapped, err := s.swap(m, r, next, nil); !swapped || err != nil {
				continue
			}
			r = next
			s.pause()
		}
		if len(fresh) > 0 || s.has("calls the function for nothing") || doubt && s.has("calls the function again for what is done") {
			if err := s.effects(f, fresh, adds, len(ms)); err != nil {
				return err
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		s.try(m, ms, fresh, r)
		if s.has("compares the fence before the function only") {
			s.pause()
			s.mu.Lock()
			r = s.shards[s.name(m)]
			if r != nil {
				merged := r.clone()
				if _, err := s.decide(ms, r, merged, bury); err == nil {
					next = merged
				} else {
					next = r.clone()
				}
			} else {
				r = &shardRows{}
			}
			s.mu.Unlock()
		}
		if s.has("writes effects in a step of their own") {
			swapped, err := s.swap(m, r, next, nil)
			if err == nil && swapped {
				s.pause()
				s.mu.Lock()
				for name, n := range adds {
					s.counters[name] += n
				}
				s.mu.Unlock()
				return nil
			}
			continue
		}
		if m.Redrive && s.has("redrives without a lock") {
			s.pause()
			s.mu.Lock()
			if stored := s.shards[s.name(m)]; stored != nil {
				r = stored
			}
			s.mu.Unlock()
		}
		swapped, err := s.swap(m, r, next, adds)
		switch {
		case err != nil:
			if again, err := s.unsettled(err, &doubt); !again {
				return err
			}
			if s.has("takes a lost write for done") {
				return nil
			}
			if s.has("applies again when an answer is lost") {
				s.mu.Lock()
				r = s.shards[s.name(m)]
				s.mu.Unlock()
				if r == nil {
					r = &shardRows{}
				}
				swapped, err = s.swap(m, r, next, adds)
				if swapped && err == nil {
					return nil
				}
			}
		case swapped:
			if m.Scope == dedup.PerShard && !m.Redrive {
				s.moved(s.memory(m, next), next.low)
			}
			return nil
		}
	}
}

// try notes what may be applied now.
func (s *naive) try(m dedup.Mark, ms []dedup.Mark, fresh []int, r *shardRows) {
	k := s.memory(m, r)
	s.knows.Lock()
	defer s.knows.Unlock()
	for _, i := range fresh {
		k.tried[s.text(ms[i].Position)] = true
	}
}

// effects calls f.
func (s *naive) effects(f func(e effects, fresh []int) error, fresh []int, adds map[string]int, all int) error {
	told, refused := slices.Clone(fresh), false
	switch {
	case s.has("hands over all if one is fresh"):
		told = nil
		for i := range all {
			told = append(told, i)
		}
	case s.has("hands over in falling order"):
		slices.Reverse(told)
	}
	add := func(name string, n int) error {
		adds[name] += n
		return nil
	}
	if s.has("does effects at once") {
		add = func(name string, n int) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.counters[name] += n
			return nil
		}
	}
	err := f(effects{add: add, refuse: func() error {
		refused = true
		return nil
	}}, told)
	switch {
	case err != nil && s.has("returns the function's error as it is"):
		return err
	case err != nil && s.has("goes on when the function fails"):
		return nil
	case err != nil && s.has("takes the function's error for its own"):
		return fmt.Errorf("naive: %w: %s", dedup.ErrUnavailable, err.Error())
	case err != nil:
		return &dedup.RolledBackError{Err: err}
	case refused && s.has("takes a refused effect for its own fault"):
		return dedup.ErrUnavailable
	case refused && s.has("passes over a refused effect"):
		return nil
	case refused:
		return &dedup.RolledBackError{Err: errOnPurpose}
	}
	return nil
}

// decide tells what is fresh and changes next to what is to be stored.
func (s *naive) decide(ms []dedup.Mark, r, next *shardRows, bury bool) (fresh []int, err error) {
	switch {
	case ms[0].Redrive:
		return s.redrive(ms[0], r, next)
	case ms[0].Scope == dedup.PerID:
		return s.identify(ms, r, next, bury), nil
	}
	for i, m := range ms {
		if err := s.admits(m, next); err != nil && (!bury || !s.has("lets anybody bury")) {
			return nil, err
		}
		if m.Scope == dedup.PerShard {
			if err := s.remembers(m, s.held(m), next); err != nil {
				return nil, err
			}
		}
		lane, k := s.lane(m), s.memory(m, next)
		d := next.done[lane]
		passed := !s.before(next.low, m.Position)
		if s.has("applies what is at low again") {
			passed = s.before(m.Position, next.low)
		}
		applied := passed
		if m.Scope == dedup.PerKey {
			over := !d.position.IsZero() && !s.before(d.position, m.Position)
			if s.has("applies the last record of a key again") {
				over = s.before(m.Position, d.position)
			}
			applied = passed || over
		}
		s.knows.Lock()
		repeat := !s.before(k.from, m.Position) || k.tried[s.text(m.Position)]
		if m.Scope == dedup.PerKey && applied && !passed && d.epoch != m.Epoch && !s.has("takes what an earlier owner did to a key for out of order") {
			repeat = true
			k.tried[s.text(m.Position)] = true
		}
		s.knows.Unlock()
		switch {
		case !applied && (!bury || !s.has("does not pass what is buried")):
		case !applied:
			fresh = append(fresh, i)
			s.bury(m, next)
			continue
		case repeat || s.has("takes what is out of order for a repeat"):
			if bury && s.has("buries what was applied") {
				fresh = append(fresh, i)
				s.bury(m, next)
			}
			continue
		case s.has("applies what is out of order"):
		default:
			return nil, fmt.Errorf("naive: %w", dedup.ErrOutOfOrder)
		}
		fresh = append(fresh, i)
		if m.Scope == dedup.PerShard || s.has("has low jump to the last record of any key") {
			next.low = m.Position
		}
		if m.Scope == dedup.PerKey && (!s.has("keeps no mark of a record without a key") || !m.Alone) {
			next.done = maps.Clone(next.done)
			if next.done == nil {
				next.done = map[string]doneRow{}
			}
			next.done[lane] = doneRow{m.Position, m.Epoch}
		}
		maps.DeleteFunc(next.dead, func(d deadRow, _ bool) bool {
			return d.position == s.text(m.Position) && d.generation < m.Generation && !s.has("keeps the dead of an older generation when they are applied")
		})
		if bury {
			s.bury(m, next)
		}
	}
	return fresh, nil
}

func (s *naive) bury(m dedup.Mark, next *shardRows) {
	if s.has("buries without a note") {
		return
	}
	if next.dead == nil {
		next.dead = map[deadRow]bool{}
	}
	next.dead[s.deadRow(m)] = true
}

func (s *naive) deadRow(m dedup.Mark) deadRow {
	if s.has("takes the dead of all generations for one") {
		m.Generation = 0
	}
	return deadRow{s.text(m.Position), m.Generation}
}

func (s *naive) redrive(m dedup.Mark, r, next *shardRows) ([]int, error) {
	pending := fmt.Errorf("naive: %w", dedup.ErrPending)
	if m.Scope == dedup.PerID {
		e, there := r.ids[s.text(m.Position)]
		switch {
		case (!there || e.generation < m.Generation) && s.has("takes what was not passed for void"):
			return nil, nil
		case !there || e.generation < m.Generation:
			return nil, pending
		case !e.dead && s.has("redrives what is not dead"):
			return []int{0}, nil
		case !e.dead || e.generation != m.Generation:
			return nil, nil
		}
		if !s.has("keeps the dead that were redriven") {
			next.ids[s.text(m.Position)] = idRow{e.generation, false}
		}
		return []int{0}, nil
	}
	if s.has("fences redrives") {
		if err := s.admits(m, r); err != nil {
			return nil, err
		}
	}
	if r.dead[s.deadRow(m)] {
		if !s.has("keeps the dead that were redriven") {
			delete(next.dead, s.deadRow(m))
		}
		return []int{0}, nil
	}
	d := r.done[s.lane(m)]
	passed := !s.before(r.low, m.Position) || !d.position.IsZero() && !s.before(d.position, m.Position)
	switch {
	case passed && s.has("redrives what is not dead"):
		return []int{0}, nil
	case s.has("takes what was not passed for void"), r.epoch > 0 && m.Generation < r.generation:
		return nil, nil
	case s.has("takes what is void for pending"):
		return nil, pending
	case r.epoch == 0, m.Generation > r.generation, !passed:
		return nil, pending
	}
	return nil, nil
}

// identify is what becomes of records in no order.
func (s *naive) identify(ms []dedup.Mark, r, next *shardRows, bury bool) (fresh []int) {
	for i, m := range ms {
		e, there := r.ids[s.text(m.Position)]
		if there && (e.generation >= m.Generation || s.has("takes the records of all generations for one")) {
			if bury && s.has("buries what was applied") {
				next.ids[s.text(m.Position)] = idRow{m.Generation, true}
				fresh = append(fresh, i)
			}
			continue
		}
		fresh = append(fresh, i)
		if next.ids == nil {
			next.ids = map[string]idRow{}
		}
		if !bury || !s.has("does not pass what is buried") {
			next.ids[s.text(m.Position)] = idRow{m.Generation, bury && !s.has("buries without a note")}
		}
	}
	return fresh
}
