package redisdedup

import (
	"context"
	"errors"
	"slices"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// Apply is that of [dedup.Effects]. In the steady state it is one round trip: f is called on what this process knows to be stored, and the script does nothing if that is otherwise. Then f is called again, or not at all: what it has added to e
// before is thrown away.
func (s *Sink) Apply(ctx context.Context, ms []dedup.Mark, f func(w *Write, fresh []int) error) error {
	return s.do(ctx, ms, false, f)
}

// Bury is that of [dedup.Sink].
func (s *Sink) Bury(ctx context.Context, ms []dedup.Mark) error {
	return s.do(ctx, ms, true, func(*Write, []int) error { return nil })
}

func (s *Sink) do(ctx context.Context, ms []dedup.Mark, bury bool, f func(w *Write, fresh []int) error) error {
	if err := s.ended(ctx); err != nil || len(ms) == 0 {
		return err
	}
	switch {
	case ms[0].Redrive:
		return s.redrive(ctx, ms[0], f)
	case ms[0].Scope == dedup.PerID:
		return s.identify(ctx, ms, bury, f)
	}
	return s.commit(ctx, ms, bury, f)
}

// writeOf calls f.
func (s *Sink) writeOf(m dedup.Mark, fresh []int, f func(w *Write, fresh []int) error) (*Write, error) {
	w := &Write{tag: Tag(m.App), own: s.base(m.App)}
	err := f(w, slices.Clone(fresh))
	if err == nil {
		err = w.err
	}
	if err != nil {
		return nil, &dedup.RolledBackError{Err: err}
	}
	return w, nil
}

// commit writes marks of PerShard and PerKey.
func (s *Sink) commit(ctx context.Context, ms []dedup.Mark, bury bool, f func(w *Write, fresh []int) error) error {
	m, k := ms[0], s.keys(ms[0])
	mem, err := s.memoryOf(ctx, m)
	if err != nil {
		return err
	}
	lanes := lanesOf(ms)
	st, read := mem.expected(lanes), false
	for {
		b, err := marks.Decide(st.Seal, st.marksOf(), mem.owner, ms)
		if (err != nil || len(b.Fresh) == 0) && !read { // what is remembered is good for trying: who is told something is told what is stored
			known := st
			if st, err = s.stored(ctx, m, lanes); err == nil {
				err = st.follows(known, m)
			}
			if err != nil {
				return err
			}
			mem.learn(st.Low, st.done)
			read = true
			continue
		}
		if err != nil {
			return err
		}
		if len(b.Fresh) == 0 {
			return s.acknowledged(ctx, m)
		}
		w, err := s.writeOf(m, b.Fresh, f)
		if err != nil {
			return err
		}
		tried := mem.owner.Try(ms, b.Fresh)
		done := texts(b.Done)
		r := &request{
			app: m.App, keys: k.all(), expect: st.expecting(k, lanes), write: w, replicas: s.cfg.Replicas,
			kinds: [][2]string{{k.done(), "hash"}, {k.order(), "zset"}, {k.dead(), "zset"}},
			marks: s.marksOf(k, ms, b, st, done, mem.owner.Voids(), bury),
		}
		a, short, err := s.send(ctx, r)
		switch {
		case err != nil:
			s.forget(m)
			return err
		case a.said == "rows":
			if st, err = s.found(ctx, m, mem, st, lanes, a.rows); err != nil {
				return err
			}
			read = true
		case a.said != "ok":
			err := s.refused(ctx, r, a)
			if _, rolledBack := errors.AsType[*dedup.RolledBackError](err); rolledBack {
				mem.owner.Untry(tried)
			}
			return err
		default:
			mem.learn(b.Low, done)
			return short
		}
	}
}

// lanesOf are the lanes of marks, each once.
func lanesOf(ms []dedup.Mark) (lanes []string) {
	seen := map[string]bool{}
	for _, m := range ms {
		if lane := m.Lane(); m.Scope == dedup.PerKey && !seen[lane] {
			seen[lane] = true
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

func texts(done map[string]marks.Done) map[string]mark {
	all := make(map[string]mark, len(done))
	for lane, d := range done {
		all[lane] = textOf(d)
	}
	return all
}

// marksOf are the commands that store what a batch has become.
func (s *Sink) marksOf(k shardKeys, ms []dedup.Mark, b marks.Batch, st *state, done map[string]mark, voids, bury bool) (commands [][]string) {
	var buried []string
	for _, i := range b.Fresh {
		member := among(ms[i])
		if voids {
			commands = append(commands, []string{"ZREMRANGEBYLEX", k.dead(), "[" + ms[i].Position.Sort() + " ", "(" + member})
		}
		if bury {
			buried = append(buried, "0", member)
		}
	}
	commands = append(commands, chunks(2, []string{"ZADD", k.dead()}, buried)...)
	if ms[0].Scope == dedup.PerShard {
		next := st.Seal
		next.Low = b.Low
		return append(commands, text(next, st.history).set(k))
	}
	var old, order, rows []string
	for lane, d := range done {
		if was := st.done[lane]; was.raw != "" {
			old = append(old, inOrder(was.Position, lane))
		}
		order = append(order, "0", inOrder(d.Position, lane))
		rows = append(rows, lane, d.raw)
	}
	commands = append(commands, chunks(2, []string{"ZADD", k.order()}, order)...) // first what needs memory
	commands = append(commands, chunks(1, []string{"ZREM", k.order()}, old)...)
	return append(commands, chunks(2, []string{"HSET", k.done()}, rows)...)
}

// acknowledged waits for replicas where there is nothing to write: what was found applied may be a write of this owner that too few replicas had. WAIT is about the writes of its own connection, and
// whoever has this one has all before it.
func (s *Sink) acknowledged(ctx context.Context, m dedup.Mark) error {
	if s.cfg.Replicas == 0 {
		return nil
	}
	r := &request{app: m.App, keys: []string{s.waitKey(m.App)}, marks: [][]string{{"SET", s.waitKey(m.App), "1"}}, replicas: s.cfg.Replicas}
	a, short, err := s.send(ctx, r)
	switch {
	case err != nil:
		return err
	case a.said != "ok":
		return s.refused(ctx, r, a)
	}
	return short
}
