package ordering

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Many lanes that wait, each for another instant, are woken each at its own.
func TestManyLanesWakeInTheOrderOfTheirInstants(t *testing.T) {
	const n = 500
	var l Lanes
	for i := range n {
		l.Add(fmt.Sprint("key ", i))
	}
	batch := make([]uint64, 0, n)
	for len(batch) < n {
		batch = l.Take(batch, 1, nil)
	}
	at := rand.New(rand.NewPCG(1, 2)).Perm(n)
	want := make([]uint64, n) // by instant
	for i, o := range batch {
		want[at[i]] = o
		l.Back(o, int64(at[i]+1), 1)
	}
	for i := range n {
		if next, waits := l.Next(); !waits || next != int64(i+1) {
			t.Fatalf("the next instant is %d, %t; want %d", next, waits, i+1)
		}
		l.Wake(int64(i + 1))
		got := l.Take(nil, n, nil)
		if !slices.Equal(got, want[i:i+1]) {
			t.Fatalf("at %d, %v are taken; want %d", i+1, got, want[i])
		}
		l.Done(got[0])
	}
}
