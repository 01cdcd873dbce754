package sqldedup_test

import (
	"database/sql"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

func TestSinkConforms(t *testing.T) {
	t.Parallel()
	deduptest.Run(t, deduptest.Harness[*sql.Tx]{Open: func(t *testing.T) deduptest.Database[*sql.Tx] {
		file := newFile(t)
		direct := open(t, file)
		w := world{direct: direct, prefix: "marks"}
		must(t, sqldedup.New(direct, &sqldedup.Config{Table: w.prefix}).Setup(t.Context()))
		execute(t, direct, w.counters())
		var taps []*tap
		w.sink = func(t *testing.T) dedup.Effects[*sql.Tx] {
			tp, db := tapped(t, file)
			taps = append(taps, tp)
			return sqldedup.New(db, &sqldedup.Config{Table: w.prefix})
		}
		// The next commit of any of them, once.
		lose := func(then func(), set func(*tap, func(string) error)) {
			lost := once("COMMIT", &lostError{then})
			for _, tp := range taps {
				set(tp, lost)
			}
		}
		w.rest = func(db *deduptest.Database[*sql.Tx]) {
			db.LoseAnswer = func(_ *testing.T, then func()) {
				lose(then, func(tp *tap, lost func(string) error) { tp.set(nil, lost) })
			}
			db.LoseWrite = func(_ *testing.T, then func()) {
				lose(then, func(tp *tap, lost func(string) error) { tp.set(lost, nil) })
			}
		}
		return w.database()
	}})
}
