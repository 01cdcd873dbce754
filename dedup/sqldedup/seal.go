package sqldedup

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// place is where the marks of a shard are.
type place struct{ scope, shard []byte }

func placeOf(m dedup.Mark) place {
	return place{sqldialect.Scope(m.App, m.Stream), sqldialect.Bounded(m.Shard)}
}

// low is the lane of a shard's low. Those of keys and of records without one begin with a k or a p.
var low = []byte("s")

// stored is a number of marks in a column, and fromStored the way back: all bits are kept.
func stored(n uint64) int64     { return int64(n) }  //nolint:gosec // all bits are kept
func fromStored(n int64) uint64 { return uint64(n) } //nolint:gosec // likewise

// Seal is that of [dedup.Sink]. On PostgreSQL it waits for transactions of the previous owner that are under way, of one that stands still for [Config].Idle.
func (s *Sink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	if m.Scope == dedup.PerID {
		return m.Position, s.fault(ctx, "seal", m, context.Cause(ctx))
	}
	var next marks.Seal
	var voids bool
	err := s.within(ctx, func(w *work) (keep bool, err error) {
		next, voids, err = w.seal(ctx, m)
		return err == nil, err
	})
	err = s.settled(ctx, err, func(w *work) (kept bool, err error) {
		is, err := w.hold(ctx, placeOf(m))
		if err == nil && is.Epoch >= m.Epoch && is.Generation >= m.Generation {
			err = is.Admits(m)
			kept = err == nil
		}
		return kept, err
	})
	if err != nil {
		return checkpoint.Position{}, s.fault(ctx, "seal", m, err)
	}
	s.book.Sealed(m, next, voids)
	return next.Low, nil
}

func (w *work) seal(ctx context.Context, m dedup.Mark) (next marks.Seal, voids bool, err error) {
	at := placeOf(m)
	is, err := w.hold(ctx, at)
	if err != nil {
		return next, false, err
	}
	var position string
	var lanes bool
	if err := w.tx.QueryRowContext(ctx, w.statements.look.text, at.scope, at.shard, low, stored(m.Generation)).Scan(&position, &lanes, &voids); err != nil {
		return next, false, err
	}
	if is.Low, err = parse(position); err != nil {
		return next, false, err
	}
	next, anew, err := is.Sealed(m, lanes)
	if err != nil {
		return next, false, err
	}
	if _, err := affected(ctx, w.tx, w.statements.seal.text, at.scope, at.shard, stored(next.Epoch), stored(next.Generation), sqldialect.Text(next.Session).Encoded()); err != nil || !anew {
		return next, voids, err
	}
	if _, err := affected(ctx, w.tx, w.clear.text, at.scope, at.shard); err != nil {
		return next, false, err
	}
	_, err = w.rise(ctx, at, next.Epoch, [][]any{lane(low, next.Low)})
	return next, voids, err
}

// hold makes the row of a seal if there is none, and has it alone.
func (w *work) hold(ctx context.Context, at place) (is marks.Seal, err error) {
	var epoch, generation int64
	var session string
	if err := w.tx.QueryRowContext(ctx, w.statements.hold.text, at.scope, at.shard).Scan(&w.entered, &epoch, &generation, &session); err != nil {
		return is, err
	}
	return sealOf(epoch, generation, session)
}

func sealOf(epoch, generation int64, session string) (is marks.Seal, err error) {
	is = marks.Seal{Epoch: fromStored(epoch), Generation: fromStored(generation)}
	var t sqldialect.Text
	if err := t.UnmarshalText([]byte(session)); err != nil {
		return is, fmt.Errorf("column session: %w", err)
	}
	is.Session = string(t)
	return is, nil
}

func parse(position string) (checkpoint.Position, error) {
	p, err := checkpoint.Parse(position)
	if err != nil {
		err = fmt.Errorf("column position: %w", err)
	}
	return p, err
}

// lane is a row of done.
func lane(name []byte, p checkpoint.Position) []any { return []any{name, p.Sort(), p.String()} }

// rise has lanes rise to new positions, and tells how many did.
func (w *work) rise(ctx context.Context, at place, epoch uint64, lanes [][]any) (risen int64, err error) {
	return w.engine.execute(ctx, w.tx, w.pass, []any{at.scope, at.shard, stored(epoch)}, lanes)
}

// standing reads a seal with its low, and lanes. None is the zero value.
func (w *work) standing(ctx context.Context, query statement, at place, lanes [][]byte) (is marks.Seal, done map[string]marks.Done, err error) {
	names := [][]any{{low}}
	for _, l := range lanes {
		names = append(names, []any{l})
	}
	done = make(map[string]marks.Done, len(lanes))
	err = w.engine.list(ctx, w.tx, query, []any{at.scope, at.shard}, names, func(found *sql.Rows) error { return w.stands(found, &is, done) })
	return is, done, err
}

// claim is standing with the seal shared, and has lanes rise for m's owner, those that are above low. What it tells of them is how they stood before, and how many have risen.
func (w *work) claim(ctx context.Context, at place, m dedup.Mark, lanes [][]any) (is marks.Seal, done map[string]marks.Done, risen int64, err error) {
	done = make(map[string]marks.Done, len(lanes))
	args := []any{at.scope, at.shard, stored(m.Epoch), stored(m.Generation), sqldialect.Text(m.Session).Encoded(), low}
	err = w.engine.list(ctx, w.tx, w.statements.claim, args, lanes, func(found *sql.Rows) error { return w.stands(found, &is, done, &risen) })
	return is, done, risen, err
}

// stands reads a row of a seal and a lane.
func (w *work) stands(found *sql.Rows, is *marks.Seal, done map[string]marks.Done, more ...any) error {
	var epoch, generation int64
	var session string
	var name []byte
	var position sql.NullString
	var since sql.NullInt64
	if err := found.Scan(append([]any{&w.entered, &epoch, &generation, &session, &name, &position, &since}, more...)...); err != nil {
		return err
	}
	p, err := parse(position.String)
	if err != nil {
		return err
	}
	top := is.Low
	if string(name) == string(low) {
		top = p
	} else if name != nil {
		done[string(name)] = marks.Done{Position: p, Epoch: fromStored(since.Int64)}
	}
	*is, err = sealOf(epoch, generation, session)
	is.Low = top
	return err
}

// Advance is that of [dedup.Sink].
func (s *Sink) Advance(ctx context.Context, m dedup.Mark) error {
	if m.Scope == dedup.PerID {
		return s.fault(ctx, "advance", m, context.Cause(ctx))
	}
	var o *marks.Owner
	err := s.within(ctx, func(w *work) (keep bool, err error) {
		o, err = w.advance(ctx, m)
		return err == nil, err
	})
	err = s.settled(ctx, err, func(w *work) (kept bool, err error) {
		at := placeOf(m)
		is, _, err := w.standing(ctx, w.share, at, nil)
		if err == nil {
			err = is.Admits(m)
		}
		if err != nil {
			return false, err
		}
		risen, err := w.rise(ctx, at, m.Epoch, [][]any{lane(low, m.Position)})
		return risen == 0, err
	})
	if err != nil {
		return s.fault(ctx, "advance", m, err)
	}
	o.Advanced(m.Position)
	return nil
}

func (w *work) advance(ctx context.Context, m dedup.Mark) (*marks.Owner, error) {
	at := placeOf(m)
	is, _, err := w.standing(ctx, w.share, at, nil)
	if err != nil {
		return nil, err
	}
	if err := is.Admits(m); err != nil {
		return nil, err
	}
	o, err := w.book.Of(m, func() (marks.Seal, error) { return is, nil })
	if err != nil {
		return nil, err
	}
	if o.Remembers(is, m) != nil { // or another call has moved low since it was read
		if is.Low, err = w.lockedLow(ctx, at); err != nil {
			return nil, err
		}
		if err := o.Remembers(is, m); err != nil {
			return nil, err
		}
	}
	_, moved, err := is.Advanced(m)
	if err != nil {
		return nil, err
	}
	if moved {
		if _, err := w.rise(ctx, at, m.Epoch, [][]any{lane(low, m.Position)}); err != nil {
			return nil, err
		}
	}
	_, err = affected(ctx, w.tx, w.drop.text, at.scope, at.shard, low, m.Position.Sort())
	return o, err
}

// lockedLow reads low as it is now, when nobody moves it.
func (w *work) lockedLow(ctx context.Context, at place) (checkpoint.Position, error) {
	var position string
	if err := w.tx.QueryRowContext(ctx, w.now.text, at.scope, at.shard, low).Scan(&position); err != nil {
		return checkpoint.Position{}, err
	}
	return parse(position)
}
