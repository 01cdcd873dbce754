//go:build engines

package sqldedup_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

// BenchmarkBatch is a transaction of 100 single-row statements: alone, and as the effects of 100 records, each of a key of its own. One of each kind follows the other, so that all meet the same weather; the
// result of each is its median.
func BenchmarkBatch(b *testing.B) {
	const batch = 100
	p, err := server()
	if err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("pgx", p.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err = db.ExecContext(b.Context(), `DROP TABLE IF EXISTS bench; CREATE TABLE bench (id bigint PRIMARY KEY, balance bigint NOT NULL); INSERT INTO bench SELECT n, 0 FROM generate_series(0, 9999) AS n`)
	must(err)
	s := sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: "bench_marks"})
	must(s.Setup(b.Context()))
	row := 0
	updates := func(tx *sql.Tx) error {
		for range batch {
			row++
			if _, err := tx.ExecContext(b.Context(), `UPDATE bench SET balance = balance + 1 WHERE id = $1`, row%10000); err != nil {
				return err
			}
		}
		return nil
	}
	took := map[string][]time.Duration{}
	timed := func(name string, f func() error) {
		began := time.Now()
		must(f())
		took[name] = append(took[name], time.Since(began))
	}
	for _, scope := range scopes {
		m := mark(scope, 0)
		m.Shard = scope.String()
		_, err := s.Seal(b.Context(), m)
		must(err)
	}
	n := uint64(0)
	for b.Loop() {
		timed("alone", func() error {
			tx, err := db.BeginTx(b.Context(), nil)
			if err != nil {
				return err
			}
			return cmp.Or(updates(tx), tx.Commit())
		})
		for _, scope := range scopes {
			ms := make([]dedup.Mark, batch)
			for i := range ms {
				ms[i] = key(mark(scope, n+uint64(i)+1), fmt.Sprint("key ", n+uint64(i))) //nolint:gosec // small
				ms[i].Shard = scope.String()
			}
			timed(scope.String(), func() error {
				return s.Apply(b.Context(), ms, func(tx *sql.Tx, _ []int) error { return updates(tx) })
			})
			if n%1000 == 0 {
				must(s.Advance(b.Context(), ms[batch-1]))
			}
		}
		n += batch
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-µs/batch")
	}
	b.ReportMetric(0, "ns/op")
}
