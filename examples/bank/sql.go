package main

import (
	"context"
	"database/sql"
	"errors"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

func openPostgres(url string, read func(consumer.Record) (transfer, error)) (books, error) {
	db, err := sql.Open("pgx", url)
	return inTables(db, sqldedup.Config{Dialect: sqldedup.PostgreSQL}, "BIGINT GENERATED ALWAYS AS IDENTITY", read), err
}

func openSQLite(file string, read func(consumer.Record) (transfer, error)) (books, error) {
	db, err := sql.Open("sqlite", "file:"+file)
	return inTables(db, sqldedup.Config{Dialect: sqldedup.SQLite}, "INTEGER PRIMARY KEY", read), err
}

// inTables are the books in an SQL database. The lines of the statements are counted.
func inTables(db *sql.DB, cfg sqldedup.Config, counter string, read func(consumer.Record) (transfer, error)) books {
	return books{
		handler: booking(sqldedup.New(db, &cfg), read, bookRows),
		setup: func(ctx context.Context) error {
			_, accounts := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, balance BIGINT NOT NULL)`)
			_, lines := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS lines (place `+counter+`, account TEXT NOT NULL, transfer TEXT NOT NULL, amount BIGINT NOT NULL)`)
			return errors.Join(accounts, lines)
		},
		close: func() { _ = db.Close() }, // nothing is under way
	}
}

func bookRows(ctx context.Context, tx *sql.Tx, lines []line) error {
	for _, l := range lines {
		_, err := tx.ExecContext(ctx, `INSERT INTO accounts (account, balance) VALUES ($1, $2)
			ON CONFLICT (account) DO UPDATE SET balance = accounts.balance + excluded.balance`, l.account, l.amount)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO lines (account, transfer, amount) VALUES ($1, $2, $3)`, l.account, l.transfer, l.amount); err != nil {
			return err
		}
	}
	return nil
}
