package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
)

// inSQLite calls f with a database in a file.
func inSQLite(t *testing.T, f func(db *sqlOrders) error) {
	t.Helper()
	if err := serveSQLite(t.Context(), func(open opener) error {
		db, err := open(t.Context(), "orders")
		if err != nil {
			return err
		}
		return f(db.(*sqlOrders))
	}); err != nil {
		t.Fatal(err)
	}
}

// Each side makes every effect, in each round, and its figures are there.
func TestMarkCost(t *testing.T) {
	inSQLite(t, func(db *sqlOrders) error {
		var last int64
		for _, batch := range []int{1, 7} {
			var out bytes.Buffer
			c := comparison{db: db, batch: batch, turns: advanceEvery, last: last}
			if err := c.compare(t.Context(), options{Count: 2}, &report{out: &out}, "sqlite"); err != nil {
				return err
			}
			last = c.last
			for _, side := range markSides(batch) {
				if x := figure(t, out.String(), markName("sqlite", batch, side), effectsUnit); x <= 0 {
					t.Errorf("%s: %v %s", side, x, effectsUnit)
				}
			}
		}
		return nil
	})
}

// lossy makes no effects of records that have marks.
type lossy struct{ *sqlOrders }

func (l lossy) alone(ctx context.Context, rs []order) error { return l.sqlOrders.alone(ctx, rs[1:]) }

func TestMarkCostCountsEffects(t *testing.T) {
	inSQLite(t, func(db *sqlOrders) error {
		c := comparison{db: lossy{db}, batch: 2, turns: 1}
		if err := c.compare(t.Context(), options{Count: 1}, &report{out: new(bytes.Buffer)}, "sqlite"); err == nil {
			t.Error("a side that does not make all effects passes")
		}
		return nil
	})
}

// Records that come again have no second effect, with marks and with markers.
func TestMarkedOnce(t *testing.T) {
	for _, side := range []string{shardSide, keySide, oneKeySide, naiveSide} {
		inSQLite(t, func(db *sqlOrders) error {
			c := comparison{db: db, batch: 3}
			if hasMarks(side) {
				if _, err := db.Seal(t.Context(), c.shard(side)); err != nil {
					return err
				}
			}
			rs, err := ordersFrom(5, 3)
			if err != nil {
				return err
			}
			for range 2 {
				if _, err := c.write(t.Context(), side, rs); err != nil {
					return err
				}
			}
			if n, err := db.made(t.Context()); n != 3 || err != nil {
				t.Errorf("%s: %d effects of 3 records: %v", side, n, err)
			}
			return nil
		})
	}
}

// What is stored of marks is bounded by what is in flight; markers are one a record.
func TestMarkStorage(t *testing.T) {
	const records = 2 * inFlight
	for side, want := range map[string]int64{shardSide: 2, keySide: inFlight + 2, naiveSide: records} {
		inSQLite(t, func(db *sqlOrders) error {
			most, last, err := store(t.Context(), db, side, records)
			if most != want || last.rows != want || last.bytes <= 0 {
				t.Errorf("%s: %d rows at most, and %+v in the end; want %d", side, most, last, want)
			}
			return err
		})
	}
}

// Workers of one shard end transactions side by side, each with all its records.
func TestMarkLanes(t *testing.T) {
	inSQLite(t, func(db *sqlOrders) error {
		if _, err := db.Seal(t.Context(), marked(laneShard)); err != nil {
			return err
		}
		var last atomic.Int64
		for _, side := range []string{effectsSide, keySide} {
			before, err := db.made(t.Context())
			if err != nil {
				return err
			}
			ended, err := laneTurn(t.Context(), db, side, 3, &last)
			if err != nil {
				return err
			}
			if after, err := db.made(t.Context()); err != nil || ended < 3 || after-before != ended*laneBatch {
				t.Errorf("%s: %d batches, %d effects: %v", side, ended, after-before, err)
			}
		}
		return nil
	})
}

// Keys and positions rise, so that no side meets a record twice.
func TestOrdersFrom(t *testing.T) {
	a, err := ordersFrom(0, 3)
	b, err2 := ordersFrom(3, 3)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	all := slices.Concat(a, b)
	for i, r := range all {
		if r.n != int64(i+1) || r.key != fmt.Sprintf("key-%d", i+1) || i > 0 && !all[i-1].position.Before(r.position) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if n := len(a[0].position.Sequence()); n != 56 {
		t.Errorf("a sequence number has %d digits, those of Kinesis 56", n)
	}
}
