package sqllease

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// postgres is the engine of PostgreSQL. Rows go into a statement as the JSON text of one parameter, however many they are, and so as any driver can.
//
// Transactions never wait for each other in a circle. Each locks the rows that it writes in the order of their keys, then the counter if it needs it, and then waits for nothing but a
// row that is being deleted, by one that has all its locks.
type postgres struct {
	sqldialect.PostgreSQL
	names

	rows, count                            string // the names of the tables, quoted
	all, later, some                       string // reads
	look, lock                             string // reads of versions
	next, create, update, discard, touched string // writes
}

// given are the rows of the parameters. Their number says nothing new but to the planner, which would suppose a hundred, and for one row read the whole table.
const given = ` (SELECT * FROM json_to_recordset($1::text::json) AS v (grp text, name text, version bigint, cursor bigint, value text) LIMIT $2::bigint) AS v `

func newPostgres(table string) *postgres {
	schema, name := sqldialect.Cut(table)
	e := &postgres{PostgreSQL: sqldialect.PostgreSQL{Keeper: keeper, Schema: schema}, names: namesOf(name)}
	e.rows, e.count = e.Where(e.table), e.Where(e.counter)
	notThePrimary := ` UNION ALL ` + e.NotThePrimary(5)
	selected := `SELECT r.grp, r.name, r.version, r.cursor, r.value FROM ` + e.rows + ` AS r WHERE `
	keys := `(r.grp, r.name) IN (SELECT v.grp, v.name FROM` + given + `)`
	same := ` WHERE r.grp = v.grp AND r.name = v.name AND r.version = v.version RETURNING r.grp, r.name`
	e.all = selected + `r.grp = $1` + notThePrimary
	e.later = selected + `r.grp = $1 AND r.cursor > $2` + notThePrimary
	e.some = selected + keys + notThePrimary
	e.look = `SELECT r.grp, r.name, r.version FROM ` + e.rows + ` AS r WHERE ` + keys
	e.lock = e.look + ` ORDER BY r.grp, r.name FOR UPDATE OF r`
	e.next = `UPDATE ` + e.count + ` SET last = last + 1 WHERE id = 1 RETURNING last`
	e.touched = `UPDATE ` + e.count + ` SET last = last WHERE id = 1`
	e.create = `INSERT INTO ` + e.rows + ` AS r (grp, name, version, cursor, value) SELECT v.grp, v.name, 1, v.cursor, v.value FROM` + given +
		`ON CONFLICT (grp, name) DO NOTHING RETURNING r.grp, r.name`
	e.update = `UPDATE ` + e.rows + ` AS r SET version = r.version + 1, value = v.value, cursor = coalesce(v.cursor, r.cursor) FROM` + given + same
	e.discard = `DELETE FROM ` + e.rows + ` AS r USING` + given + same
	return e
}

// parameter is a row as statements get it.
type parameter struct {
	Group   string `json:"grp"`
	Name    string `json:"name"`
	Version uint64 `json:"version,omitempty"`
	Cursor  *int64 `json:"cursor,omitempty"` // nil leaves the row's as it is
	Value   string `json:"value,omitempty"`
}

func argument(rows []parameter) ([]any, error) {
	text, err := json.Marshal(rows)
	return []any{string(text), int64(len(rows))}, err
}

// maxKeys bounds what one answer has in memory.
func (*postgres) maxKeys() int { return 10_000 }

func (e *postgres) get(places []place) (query string, args []any) {
	rows := make([]parameter, len(places))
	for i, at := range places {
		rows[i] = parameter{Group: at.group, Name: at.name}
	}
	args, _ = argument(rows) // of text there is always JSON
	return e.some, args
}

func (e *postgres) list(group string) (query string, args []any) { return e.all, []any{group} }

func (e *postgres) since(group string, count int64) (query string, args []any) {
	return e.later, []any{group, count}
}

// refuse tells of the row that says that the server is not the primary: no other is without a group.
func (e *postgres) refuse(c columns) error {
	if c.group != nil {
		return nil
	}
	return e.Refuse(c.value)
}

func (e *postgres) put(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	return e.change(ctx, conn, rows, answers, stamped, func(sound []lease.Row) (done map[place]bool, err error) {
		var count *int64
		if slices.ContainsFunc(sound, stamped) {
			count = new(int64)
			if err := e.countError(conn.QueryRowContext(ctx, e.next).Scan(count)); err != nil {
				return nil, err
			}
		}
		var creates, updates []parameter
		for _, row := range sound {
			p := parameterOf(row)
			p.Value = string(row.Value)
			if stamped(row) {
				p.Cursor = count
			}
			if row.Version == 0 {
				creates = append(creates, p)
			} else {
				updates = append(updates, p)
			}
		}
		done = map[place]bool{}
		return done, cmp.Or(e.write(ctx, conn, e.update, updates, done), e.write(ctx, conn, e.create, creates, done))
	})
}

func (e *postgres) remove(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	isNone := func(row lease.Row) bool { return row.Version == 0 }
	return e.change(ctx, conn, rows, answers, isNone, func(sound []lease.Row) (done map[place]bool, err error) {
		var discards []parameter
		done = map[place]bool{}
		for _, row := range sound {
			p := parameterOf(row)
			if isNone(row) {
				done[place{p.Group, p.Name}] = true
			} else {
				discards = append(discards, p)
			}
		}
		return done, e.write(ctx, conn, e.discard, discards, done)
	})
}

func parameterOf(row lease.Row) parameter {
	at, _ := split(row.Key) // checked
	return parameter{Group: at.group, Name: at.name, Version: row.Version}
}

// change applies write to rows, in rounds of which none names a row twice, and has their answers. write is given those whose versions are the stored ones, which it locked, and says
// which it wrote. A row that is alone, and not one of first, is not locked before: its statement decides.
func (e *postgres) change(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error, first func(lease.Row) bool,
	write func(sound []lease.Row) (done map[place]bool, err error),
) error {
	return e.Transact(ctx, conn, func() (keep bool, err error) {
		for _, round := range rounds(rows) {
			sound := make([]lease.Row, 0, len(round))
			var stored map[place]uint64
			if len(round) > 1 || first(rows[round[0]]) {
				if stored, err = e.versions(ctx, conn, e.lock, rows, round); err != nil {
					return false, err
				}
			}
			for _, i := range round {
				if at, _ := split(rows[i].Key); stored == nil || stored[at] == rows[i].Version {
					sound = append(sound, rows[i])
				}
			}
			done := map[place]bool{}
			if len(sound) > 0 {
				if done, err = write(sound); err != nil {
					return false, err
				}
			}
			keep = keep || len(done) > 0
			if len(done) < len(sound) { // others were faster
				if stored, err = e.versions(ctx, conn, e.look, rows, round); err != nil {
					return false, err
				}
			}
			for _, i := range round {
				answers[i] = nil // an attempt before this one may have come to another
				at, _ := split(rows[i].Key)
				switch version, exists := stored[at]; {
				case done[at]:
				case !exists:
					answers[i] = fmt.Errorf("%w: %s", lease.ErrConflict, absent)
				default:
					answers[i] = fmt.Errorf("%w: %s", lease.ErrConflict, present(int64(version))) //nolint:gosec // from one
				}
			}
		}
		return keep, nil
	})
}

// rounds has the places of rows in such groups that none names a key twice, in the order in which each key is named.
func rounds(rows []lease.Row) (rounds [][]int) {
	times := make(map[string]int, len(rows))
	for i, row := range rows {
		n := times[row.Key]
		times[row.Key]++
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], i)
	}
	return rounds
}

// versions reads those of a round, by a statement that may lock the rows. None is 0 that is not there.
func (e *postgres) versions(ctx context.Context, conn *sql.Conn, query string, rows []lease.Row, round []int) (versions map[place]uint64, err error) {
	keys := make([]parameter, len(round))
	for n, i := range round {
		keys[n] = parameterOf(rows[i])
	}
	versions = map[place]uint64{}
	return versions, each(ctx, conn, query, keys, func(found *sql.Rows) error {
		var at place
		var version int64
		err := found.Scan(&at.group, &at.name, &version)
		versions[at] = uint64(version) //nolint:gosec // one below 1 is equal to none
		return err
	})
}

// write executes a statement for rows, if there are any, and adds those that it wrote to done.
func (e *postgres) write(ctx context.Context, conn *sql.Conn, query string, rows []parameter, done map[place]bool) error {
	if len(rows) == 0 {
		return nil
	}
	return each(ctx, conn, query, rows, func(found *sql.Rows) error {
		var at place
		err := found.Scan(&at.group, &at.name)
		done[at] = true
		return err
	})
}

// each executes a statement for rows and calls scan for each of its answers.
func each(ctx context.Context, conn *sql.Conn, query string, rows []parameter, scan func(*sql.Rows) error) (err error) {
	args, err := argument(rows)
	if err != nil {
		return err
	}
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
