package sqldedup

import (
	"bytes"
	"context"
	"database/sql"
	"slices"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// listing is a call for marks of PerID.
type listing struct {
	ms   []dedup.Mark
	bury bool

	fresh []int
}

// idOf names a record whatever its generation.
func idOf(m dedup.Mark) []byte {
	m.Generation = 0
	return sqldialect.Bounded(m.ID())
}

func (l *listing) decide(ctx context.Context, w *work) (fresh []int, err error) {
	there, err := w.entriesOf(ctx, l.ms)
	if err != nil {
		return nil, err
	}
	l.fresh = nil
	for i, m := range l.ms {
		id := string(idOf(m))
		if there[id].Fresh(m) {
			l.fresh = append(l.fresh, i)
			there[id] = marks.Entry{There: true, Generation: m.Generation, Dead: l.bury}
		}
	}
	return l.fresh, nil
}

// entriesOf reads what is stored of records. What is not stored is the zero value.
func (w *work) entriesOf(ctx context.Context, ms []dedup.Mark) (there map[string]marks.Entry, err error) {
	ids := make([][]any, len(ms))
	for i, m := range ms {
		ids[i] = []any{idOf(m)}
	}
	there = make(map[string]marks.Entry, len(ms))
	return there, w.engine.list(ctx, w.tx, w.entries, nil, ids, func(found *sql.Rows) error {
		var id []byte
		var generation, dead sql.NullInt64
		err := found.Scan(&w.entered, &id, &generation, &dead)
		if generation.Valid {
			there[string(id)] = marks.Entry{There: true, Generation: fromStored(generation.Int64), Dead: dead.Int64 != 0}
		}
		return err
	})
}

func (l *listing) mark(ctx context.Context, w *work) (written, of int64, err error) {
	rows := make([][]any, len(l.fresh))
	for i, n := range l.fresh {
		rows[i] = []any{idOf(l.ms[n]), stored(l.ms[n].Generation)}
	}
	slices.SortFunc(rows, func(a, b []any) int { return bytes.Compare(a[0].([]byte), b[0].([]byte)) }) // so that none waits in a circle
	of = int64(len(rows))
	dead := int64(0)
	if l.bury {
		dead = 1
	}
	if written, err = w.engine.execute(ctx, w.tx, w.note, []any{dead}, rows); err != nil || written != of || w.cfg.TTL == 0 {
		return written, of, err
	}
	// Twice as many as came, so that none is left in the end.
	_, err = affected(ctx, w.tx, w.reap.text, w.cfg.TTL.Microseconds(), 2*of)
	return written, of, err
}

func (*listing) admitted(ctx context.Context, w *work) error { return w.enter(ctx) }

func (*listing) kept() {}

// revival is a call for a mark of PerID that was given up.
type revival struct{ m dedup.Mark }

func (r *revival) decide(ctx context.Context, w *work) (fresh []int, err error) {
	there, err := w.entriesOf(ctx, []dedup.Mark{r.m})
	if err != nil {
		return nil, err
	}
	return one(there[string(idOf(r.m))].Redrive(r.m))
}

func (r *revival) mark(ctx context.Context, w *work) (written, of int64, err error) {
	written, err = affected(ctx, w.tx, w.revive.text, idOf(r.m), stored(r.m.Generation))
	return written, 1, err
}

func (*revival) admitted(ctx context.Context, w *work) error { return w.enter(ctx) }

func (*revival) kept() {}
