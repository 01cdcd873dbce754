package sqlletters

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

const (
	// page is how many letters or keys are read at a time.
	page = 100
	// small is the largest payload, in bytes, that is read with its page. Larger ones are read one by one, so that no two of them are in memory.
	small = 64 << 10
)

// Parked lists the keys that are parked, in the order of their bytes, of which the first 480 and a digest stand for a long one. 100 are read at a time, and so of one instant.
func (s *Store) Parked(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(yield func(deadletter.Parking, error) bool) {
		what := fmt.Sprintf("list the parked keys of %q", scope.App)
		for from := []byte{}; ; {
			parkings, last, err := s.parkings(ctx, what, scope, from)
			if err != nil {
				yield(deadletter.Parking{}, err)
				return
			}
			for _, p := range parkings {
				if !yield(p, nil) {
					return
				}
			}
			if len(parkings) < page {
				return
			}
			from = append(last, 0) // what comes next after last
		}
	}
}

// parkings reads a page of them, and the place of the last.
func (s *Store) parkings(ctx context.Context, what string, scope deadletter.Scope, from []byte) (parkings []deadletter.Parking, last []byte, err error) {
	query := s.engine.counts(fmt.Sprintf(`SELECT k.place, k.parked, (SELECT count(*) FROM %s AS l WHERE l.scope = k.scope AND l.place = k.place) AS letters, k.key
  FROM %s AS k WHERE k.scope = ?1 AND k.place >= ?2 AND k.parked <> 0 ORDER BY k.place LIMIT %d`, s.engine.Where(s.names.letters), s.engine.Where(s.names.keys), page), 4)
	err = s.read(ctx, what, func(conn *sql.Conn) error {
		parkings = nil
		return rows(ctx, conn, query, []any{scopeOf(scope), from}, func(found *sql.Rows) error {
			var since, letters sql.NullInt64
			var place []byte
			var key string
			if err := found.Scan(&place, &since, &letters, &key); err != nil {
				return err
			}
			if !since.Valid {
				return s.engine.Refuse(key)
			}
			var t text
			if err := t.UnmarshalText([]byte(key)); err != nil {
				return fmt.Errorf("column key: %w", err)
			}
			last = place
			parkings = append(parkings, deadletter.Parking{Scope: scope, Key: string(t), Since: time.UnixMicro(since.Int64), Letters: int(letters.Int64)})
			return nil
		})
	})
	return parkings, last, err
}

// Read lists letters, by key as Parked does. 100 are read at a time, and so of one instant; no connection is held while the caller has one.
func (s *Store) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		r := s.reading(q)
		for n := 0; ; {
			letters, err := r.next(ctx)
			if err != nil {
				yield(deadletter.Letter{}, err)
				return
			}
			for _, l := range letters {
				there := true
				if l.size > 0 && l.Payload == nil && !q.Heads {
					if there, err = r.fetch(ctx, &l); err != nil {
						yield(deadletter.Letter{}, err)
						return
					}
				}
				if !there {
					continue
				}
				if n++; !yield(l.Letter, nil) || n == q.Limit {
					return
				}
			}
			if len(letters) < page {
				return
			}
		}
	}
}

// reading is a listing of letters under way.
type reading struct {
	*Store

	what, query string
	args        []any // the second and the third are where the page begins

	place []byte // of the last letter that was read
	seq   int64
}

// listed is a letter of a page.
type listed struct {
	deadletter.Letter

	size int64 // of its payload
}

func (s *Store) reading(q deadletter.Query) *reading {
	r := &reading{Store: s, what: fmt.Sprintf("read letters of %q", q.App), place: []byte{}}
	payload := fmt.Sprintf(`CASE WHEN length(payload) <= %d THEN payload END`, small)
	if q.Heads {
		payload = `NULL`
	}
	r.args = []any{scopeOf(q.Scope), nil, nil, int64(min(q.After, math.MaxInt64))} //nolint:gosec // bounded
	where := `scope = ?1 AND (place, seq) > (?2, ?3) AND seq > ?4`
	add := func(condition string, arg any) {
		r.args = append(r.args, arg)
		where += fmt.Sprintf(condition, len(r.args))
	}
	if q.Keyed || q.Key != "" {
		add(` AND place = ?%d`, sqldialect.Bounded(q.Key))
	}
	if q.ID != "" {
		add(` AND id = ?%d`, sqldialect.Bounded(q.ID))
	}
	r.query = s.engine.counts(fmt.Sprintf(`SELECT place, seq, length(payload) AS size, %s AS payload, history, letter FROM %s WHERE %s ORDER BY place, seq LIMIT %d`,
		payload, s.engine.Where(s.names.letters), where, page), 6)
	return r
}

// next reads a page.
func (r *reading) next(ctx context.Context) (letters []listed, err error) {
	r.args[1], r.args[2] = r.place, r.seq
	place, seq := r.place, r.seq
	err = r.read(ctx, r.what, func(conn *sql.Conn) error {
		letters = nil
		return rows(ctx, conn, r.query, r.args, func(found *sql.Rows) error {
			var number, size sql.NullInt64
			var payload []byte
			var history sql.NullString
			var head string
			if err := found.Scan(&place, &number, &size, &payload, &history, &head); err != nil {
				return err
			}
			if !number.Valid {
				return r.engine.Refuse(head)
			}
			seq = number.Int64
			l, err := decode(seq, head, history.String)
			l.Payload = payload
			letters = append(letters, listed{l, size.Int64})
			return err
		})
	})
	r.place, r.seq = place, seq
	return letters, err
}

// fetch reads a large payload. It is not there if the letter was settled meanwhile.
func (r *reading) fetch(ctx context.Context, l *listed) (there bool, err error) {
	query := r.engine.counts(`SELECT seq, payload, '' AS why FROM `+r.engine.Where(r.names.letters)+` WHERE seq = ?1`, 3)
	err = r.read(ctx, r.what, func(conn *sql.Conn) error {
		var number sql.NullInt64
		var why string
		switch err := conn.QueryRowContext(ctx, query, int64(l.Seq)).Scan(&number, &l.Payload, &why); { //nolint:gosec // it was one
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		case !number.Valid:
			return r.engine.Refuse(why)
		}
		there = true
		return nil
	})
	return there, err
}

// rows calls scan for each row of an answer.
func rows(ctx context.Context, conn *sql.Conn, query string, args []any, scan func(*sql.Rows) error) (err error) {
	found, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}
