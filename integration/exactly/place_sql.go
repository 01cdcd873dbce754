package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

func inPostgres(ctx context.Context, _ *ground, _ *input) (*place, error) {
	p, err := localstack.StartPostgres(ctx, localstack.Options{})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &place{
		address: u.Host, sink: func(address string) string { return torment.Moved(p.URL, address) },
		// A COMMIT is a simple query of its own: 'Q', four bytes of length, the text, a zero.
		commits: func(part []byte) bool {
			return len(part) > 5 && part[0] == 'Q' && bytes.EqualFold(part[5:], []byte("commit\x00"))
		},
		read: func(ctx context.Context) (books, error) { return readTables(ctx, "pgx", p.URL) },
		end:  func(context.Context) error { return p.Close() },
	}, nil
}

// isCommit tells a COMMIT, which is a simple query of its own: a Q, four bytes of length, the text, a zero.
func isCommit(part []byte) bool {
	return len(part) > 5 && part[0] == 'Q' && bytes.EqualFold(part[5:], []byte("commit\x00"))
}

func inSQLite(context.Context, *ground, *input) (*place, error) {
	dir, err := os.MkdirTemp("", "runnel-exactly-*")
	if err != nil {
		return nil, err
	}
	file := filepath.ToSlash(filepath.Join(dir, "bank.db"))
	return &place{
		sink: func(string) string { return "sqlite:" + file },
		read: func(ctx context.Context) (books, error) {
			return readTables(ctx, "sqlite", "file:"+file+"?_pragma=busy_timeout(20000)")
		},
		end: func(context.Context) error { return os.RemoveAll(dir) },
	}, nil
}

// readTables reads the books of an SQL database.
func readTables(ctx context.Context, driver, address string) (_ books, err error) {
	db, err := sql.Open(driver, address)
	if err != nil {
		return books{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	b := newBooks()
	lines, err := db.QueryContext(ctx, `SELECT account, transfer, amount FROM lines ORDER BY place`)
	if err != nil {
		return books{}, err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	for lines.Next() {
		var account string
		var l line
		if err := lines.Scan(&account, &l.transfer, &l.amount); err != nil {
			return books{}, err
		}
		b.lines[account] = append(b.lines[account], l)
	}
	if err := lines.Err(); err != nil {
		return books{}, err
	}
	balances, err := db.QueryContext(ctx, `SELECT account, balance FROM accounts`)
	if err != nil {
		return books{}, err
	}
	defer func() { err = errors.Join(err, balances.Close()) }()
	for balances.Next() {
		var account string
		var balance int64
		if err := balances.Scan(&account, &balance); err != nil {
			return books{}, err
		}
		b.balances[account] = balance
	}
	return b, balances.Err()
}
