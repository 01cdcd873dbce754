package leasemeter_test

import (
	"strings"
	"testing"

	"github.com/runnelhq/runnel/internal/leasemeter"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// What is counted is what DynamoDB bills: a row that is made is written to the index too, one that changes moves in it, and one that is written quietly stays.
func TestStore(t *testing.T) {
	var meter leasemeter.Meter
	s := &leasemeter.Store{Store: memlease.New(), Meter: &meter}
	ctx := t.Context()
	step := func(what string, want leasemeter.Demand, do func()) {
		t.Helper()
		before := meter.Read()
		do()
		if got := meter.Read().Minus(before); got != want {
			t.Errorf("%s: counted %+v, want %+v", what, got, want)
		}
	}
	put := func(rows ...lease.Row) func() { return func() { s.Put(ctx, rows) } }
	list := func(after string) func() {
		return func() {
			for _, err := range s.List(ctx, "g/", after) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	}
	large := []byte(strings.Repeat("x", 5000))
	step("two rows are made, one of 5 KB", leasemeter.Demand{Puts: 1, Writes: 2, WriteUnits: 1 + 1 + 5 + 1},
		put(lease.Row{Key: "g/a"}, lease.Row{Key: "g/b", Value: large}))
	step("a change", leasemeter.Demand{Puts: 1, Writes: 1, WriteUnits: 3}, put(lease.Row{Key: "g/a", Version: 1}))
	step("a quiet write", leasemeter.Demand{Puts: 1, Writes: 1, WriteUnits: 1}, put(lease.Row{Key: "g/a", Version: 2, Cursor: "1"}))
	step("a refused write", leasemeter.Demand{Puts: 1, Writes: 1, WriteUnits: 3}, put(lease.Row{Key: "g/a", Version: 9}))
	step("a read of three rows", leasemeter.Demand{Reads: 1, ReadUnits: 1 + 2 + 1}, func() {
		if _, err := s.Get(ctx, []string{"g/a", "g/b", "g/c"}); err != nil {
			t.Error(err)
		}
	})
	step("a listing", leasemeter.Demand{Listings: 1, ReadUnits: 1}, list(""))
	step("a listing of no changes", leasemeter.Demand{Listings: 1, ReadUnits: 0.5}, list("~"))
	step("a removal", leasemeter.Demand{Puts: 1, Writes: 1, WriteUnits: 2}, func() { s.Delete(ctx, []lease.Row{{Key: "g/a", Version: 3}}) })
}
