package main

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// handled is which values a worker with a fault tells that it handled, of so many.
func handled(t *testing.T, f fault, n int) (values []int) {
	t.Helper()
	handle := (&handling{task: task{Break: f}}).broken()
	for _, e := range heard(t, func() {
		for i := range n {
			if err := handle(t.Context(), consumer.Record{Shard: "a", Data: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		}
	}) {
		if e.Kind == done {
			values = append(values, e.N)
		}
	}
	return values
}

func TestFaultsOfWorkers(t *testing.T) {
	const n = every + 5
	if got := handled(t, "", n); len(got) != n || !slices.IsSorted(got) {
		t.Errorf("sound: %v", got)
	}
	if got := handled(t, forget, n); len(got) != n-1 || slices.Contains(got, every-1) {
		t.Errorf("forget: %v", got)
	}
	if got := handled(t, reorder, n); len(got) != n || got[every-1] != every || got[every] != every-1 {
		t.Errorf("reorder: %v", got)
	}
}

// The look at the clock is a real one, and the waits between are virtual: no time passes, and nothing is told.
func TestNoFreezeIsTold(t *testing.T) {
	events := heard(t, func() {
		synctest.Test(t, func(t *testing.T) {
			go task{}.tellFreezes(t.Context())
			<-time.After(time.Minute)
		})
	})
	if len(events) > 0 {
		t.Errorf("told %+v", events)
	}
}
