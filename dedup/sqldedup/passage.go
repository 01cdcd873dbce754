package sqldedup

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// passage is a call for marks of PerShard or PerKey.
type passage struct {
	ms   []dedup.Mark
	bury bool

	owner *marks.Owner
	batch marks.Batch
	tried []checkpoint.Position

	claimed bool // lanes have risen already, in what decide has read
	risen   int64
}

func (p *passage) decide(ctx context.Context, w *work) (fresh []int, err error) {
	is, kept, there, err := p.stands(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := is.Admits(p.ms[0]); err != nil {
		return nil, err
	}
	if p.owner, err = w.book.Of(p.ms[0], func() (marks.Seal, error) { return is, nil }); err != nil {
		return nil, err
	}
	done := make(map[string]marks.Done, len(there))
	for l, name := range kept {
		if d, ok := there[name]; ok {
			done[l] = d
		}
	}
	if p.batch, err = marks.Decide(is, done, p.owner, p.ms); err != nil {
		return nil, err
	}
	p.tried = append(p.tried, p.owner.Try(p.ms, p.batch.Fresh)...)
	return p.batch.Fresh, nil
}

// stands reads the seal and the lanes of the marks, by their names as they are stored. Where a statement can do both it has them rise to the last marks that they have: these are what decide will find, for of a
// lane some are fresh if the last is.
func (p *passage) stands(ctx context.Context, w *work) (is marks.Seal, kept map[string]string, there map[string]marks.Done, err error) {
	kept = make(map[string]string)
	last := make(map[string]checkpoint.Position)
	for _, m := range p.ms {
		l := string(low)
		if m.Scope == dedup.PerKey {
			l = m.Lane()
			kept[l] = string(sqldialect.Bounded(l))
		}
		if q, ok := last[l]; !ok || q.Before(m.Position) {
			last[l] = m.Position
		}
	}
	at := placeOf(p.ms[0])
	if p.claimed = w.engine.folds(); p.claimed {
		is, there, p.risen, err = w.claim(ctx, at, p.ms[0], p.rows(last))
		return is, kept, there, err
	}
	names := make([][]byte, 0, len(kept))
	for _, name := range kept {
		names = append(names, []byte(name))
	}
	is, there, err = w.standing(ctx, w.share, at, names)
	return is, kept, there, err
}

func (p *passage) mark(ctx context.Context, w *work) (written, of int64, err error) {
	first := p.ms[0]
	at := placeOf(first)
	if written, of, err = p.rise(ctx, w, at); err != nil || written != of {
		return written, of, err
	}
	if p.owner.Voids() {
		_, err = w.engine.execute(ctx, w.tx, w.void, []any{at.scope, at.shard, stored(first.Generation)}, p.positions(func(q checkpoint.Position) []any { return []any{q.Sort()} }))
	}
	if err == nil && p.bury {
		_, err = w.engine.execute(ctx, w.tx, w.statements.bury, []any{at.scope, at.shard, stored(first.Generation)}, p.positions(func(q checkpoint.Position) []any { return []any{q.Sort(), q.String()} }))
	}
	return written, of, err
}

// rise writes low or lanes, unless they were claimed.
func (p *passage) rise(ctx context.Context, w *work, at place) (written, of int64, err error) {
	to := map[string]checkpoint.Position{string(low): p.batch.Low}
	if p.ms[0].Scope == dedup.PerKey {
		to = make(map[string]checkpoint.Position, len(p.batch.Done))
		for l, d := range p.batch.Done {
			to[l] = d.Position
		}
	}
	if p.claimed {
		p.claimed = false
		return p.risen, int64(len(to)), nil
	}
	written, err = w.rise(ctx, at, p.ms[0].Epoch, p.rows(to))
	return written, int64(len(to)), err
}

// rows are those of lanes that rise, in one order for all callers, so that none waits in a circle.
func (p *passage) rows(to map[string]checkpoint.Position) (rows [][]any) {
	for _, l := range slices.Sorted(maps.Keys(to)) {
		name := low
		if p.ms[0].Scope == dedup.PerKey {
			name = sqldialect.Bounded(l)
		}
		rows = append(rows, lane(name, to[l]))
	}
	return rows
}

// positions are rows for the marks that are fresh.
func (p *passage) positions(row func(checkpoint.Position) []any) [][]any {
	rows := make([][]any, len(p.batch.Fresh))
	for i, n := range p.batch.Fresh {
		rows[i] = row(p.ms[n].Position)
	}
	return rows
}

func (p *passage) admitted(ctx context.Context, w *work) error {
	is, _, err := w.standing(ctx, w.share, placeOf(p.ms[0]), nil)
	if err != nil {
		return err
	}
	return is.Admits(p.ms[0])
}

func (p *passage) kept() { p.owner.Moved(p.batch.Low) }

// redrive is a call for a mark of PerShard or PerKey that was given up.
type redrive struct{ m dedup.Mark }

// decide reads whether the record was passed before it looks among the dead: so one that is given up in between is pending and not void.
func (r *redrive) decide(ctx context.Context, w *work) (fresh []int, err error) {
	if err := w.enter(ctx); err != nil {
		return nil, err
	}
	at := placeOf(r.m)
	name := sqldialect.Bounded(r.m.Lane())
	is, done, err := w.standing(ctx, w.read, at, [][]byte{name})
	if err != nil {
		return nil, err
	}
	dead := 0
	err = each(ctx, w.tx, w.rests.text, []any{at.scope, at.shard, r.m.Position.Sort(), stored(r.m.Generation)}, func(*sql.Rows) error { dead++; return nil })
	if err != nil {
		return nil, err
	}
	return one(marks.Redrive(is, done[string(name)], dead > 0, r.m))
}

// one is the index of a mark that is alone, if it is fresh.
func one(fresh bool, err error) ([]int, error) {
	if err != nil || !fresh {
		return nil, err
	}
	return []int{0}, nil
}

func (r *redrive) mark(ctx context.Context, w *work) (written, of int64, err error) {
	at := placeOf(r.m)
	written, err = affected(ctx, w.tx, w.raise.text, at.scope, at.shard, r.m.Position.Sort(), stored(r.m.Generation))
	return written, 1, err
}

func (*redrive) admitted(ctx context.Context, w *work) error { return w.enter(ctx) }

func (*redrive) kept() {}
