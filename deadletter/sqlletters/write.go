package sqlletters

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// chunk is how many letters Put stores in one transaction, whose locks are bounded so.
const chunk = 100

var (
	errMixed = errors.New("sqlletters: letters of several keys in one call of Park")
	errToken = errors.New("sqlletters: a claim needs a token")
)

// Put stores letters, and parks nothing: 100 in a transaction.
func (s *Store) Put(ctx context.Context, ls []deadletter.Letter) error {
	for some := range slices.Chunk(ls, chunk) {
		what := fmt.Sprintf("put %d letters", len(some))
		err := s.write(ctx, what, func(conn *sql.Conn) (keep bool, err error) {
			// Locked in one order by all, so that none waits in a circle.
			lanes := make([]lane, 0, len(some))
			for _, l := range some {
				lanes = append(lanes, laneOf(l.Scope, l.Key))
			}
			slices.SortFunc(lanes, lane.compare)
			lanes = slices.CompactFunc(lanes, func(a, b lane) bool { return a.compare(b) == 0 })
			for _, a := range lanes {
				if err := s.open(ctx, conn, a); err != nil {
					return false, err
				}
			}
			return true, s.insertAll(ctx, conn, some)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Park stores letters of one key in one transaction, and with open parks the key.
func (s *Store) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if len(ls) == 0 {
		return nil
	}
	scope, key := ls[0].Scope, ls[0].Key
	if slices.ContainsFunc(ls, func(l deadletter.Letter) bool { return l.Scope != scope || l.Key != key }) {
		return errMixed
	}
	a := laneOf(scope, key)
	return s.write(ctx, fmt.Sprintf("park %d letters of %q", len(ls), key), func(conn *sql.Conn) (keep bool, err error) {
		if open {
			err = s.open(ctx, conn, a)
		} else if is, e := s.held(ctx, conn, a); e != nil || !is.parked {
			err = e
			if err == nil {
				err = fmt.Errorf("%w: %q", deadletter.ErrNotParked, key)
			}
		}
		if err != nil {
			return false, err
		}
		if err := s.insertAll(ctx, conn, ls); err != nil {
			return false, err
		}
		if open {
			_, err = sqldialect.Affects(ctx, conn, s.park, a.scope, a.place)
		}
		return true, err
	})
}

// Claim takes, prolongs or gives back a key, by the clock of the server, or with SQLite of the host.
func (s *Store) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	if c.Token == "" {
		return errToken
	}
	a, token := laneOf(c.Scope, c.Key), text(c.Token).Encoded()
	return s.write(ctx, fmt.Sprintf("claim %q for %v", c.Key, d), func(conn *sql.Conn) (keep bool, err error) {
		if d > 0 {
			if err := s.open(ctx, conn, a); err != nil {
				return false, err
			}
		}
		is, err := s.held(ctx, conn, a)
		switch {
		case err != nil:
			return false, err
		case is.claimed && is.token != token:
			return false, fmt.Errorf("%w: %q", deadletter.ErrClaimed, c.Key)
		case d > 0:
			return sqldialect.Affects(ctx, conn, s.claim, a.scope, a.place, token, max(1, d.Microseconds()))
		case is.token != token:
			return false, nil // nothing is there to give back
		}
		if _, err := sqldialect.Affects(ctx, conn, s.release, a.scope, a.place); err != nil {
			return false, err
		}
		return true, s.tidy(ctx, conn, a)
	})
}

// Settle removes a letter, or adds to its history.
func (s *Store) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	a, token := laneOf(c.Scope, c.Key), text(c.Token).Encoded()
	return s.write(ctx, fmt.Sprintf("settle %q", id), func(conn *sql.Conn) (keep bool, err error) {
		is, err := s.held(ctx, conn, a)
		if err != nil {
			return false, err
		}
		if !is.claimed || is.token != token {
			return false, fmt.Errorf("%w: %q", deadletter.ErrNotClaimed, c.Key)
		}
		if failed != nil {
			return s.tell(ctx, conn, a, id, *failed)
		}
		removed, err := sqldialect.Affects(ctx, conn, s.discard, a.scope, a.place, sqldialect.Bounded(id))
		if err == nil && !removed {
			err = fmt.Errorf("%w: %q", deadletter.ErrNoLetter, id)
		}
		if err != nil {
			return false, err
		}
		_, err = sqldialect.Affects(ctx, conn, s.unpark, a.scope, a.place)
		return true, err
	})
}

// tell adds a failure to the history of a letter.
func (s *Store) tell(ctx context.Context, conn *sql.Conn, a lane, id string, failed deadletter.Failure) (keep bool, err error) {
	var told string
	switch err := conn.QueryRowContext(ctx, s.told, a.scope, a.place, sqldialect.Bounded(id)).Scan(&told); {
	case errors.Is(err, sql.ErrNoRows):
		return false, fmt.Errorf("%w: %q", deadletter.ErrNoLetter, id)
	case err != nil:
		return false, err
	}
	var history []failure
	if err := json.Unmarshal([]byte(told), &history); err != nil {
		return false, fmt.Errorf("column history of the letter %q: %w", id, err)
	}
	now, err := encode(append(history, failureOf(failed)))
	if err != nil {
		return false, err
	}
	return sqldialect.Affects(ctx, conn, s.statements.write, a.scope, a.place, sqldialect.Bounded(id), now)
}

// state is what the row of a key says.
type state struct {
	parked, claimed bool
	token           string // of the claim, also of one that is over
}

// open makes the row of a key if it is not there, and has it for the transaction.
func (s *Store) open(ctx context.Context, conn *sql.Conn, a lane) error {
	_, err := conn.ExecContext(ctx, s.make, a.scope, a.place, text(a.key).Encoded())
	return err
}

// held locks the row of a key and reads it then, by a statement of its own: one that waited for the lock would tell the time from before. None is the zero value.
func (s *Store) held(ctx context.Context, conn *sql.Conn, a lane) (is state, err error) {
	var parked int64
	if err = conn.QueryRowContext(ctx, s.hold, a.scope, a.place).Scan(&parked); err == nil {
		err = conn.QueryRowContext(ctx, s.state, a.scope, a.place).Scan(&parked, &is.token, &is.claimed)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return state{}, nil
	}
	is.parked = parked != 0
	return is, err
}

// insertAll stores letters of keys whose rows are held, in their order.
func (s *Store) insertAll(ctx context.Context, conn *sql.Conn, ls []deadletter.Letter) error {
	for _, l := range ls {
		c, err := columnsOf(l)
		if err != nil {
			return err
		}
		stored, err := sqldialect.Affects(ctx, conn, s.insert, c.scope, c.place, c.id, c.head, c.history, c.payload)
		if err == nil && !stored {
			err = s.tidy(ctx, conn, c.lane) // it may be there under another key
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the row of a key that has no letters and is not claimed.
func (s *Store) tidy(ctx context.Context, conn *sql.Conn, a lane) error {
	_, err := conn.ExecContext(ctx, s.forget, a.scope, a.place)
	return err
}
