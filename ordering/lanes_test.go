package ordering

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func named(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%04d", i)
	}
	return keys
}

// The cost of one record: it is added, taken alone and done, while 5000 are there.
func BenchmarkRecord(b *testing.B) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 999)
	hot, each := make([]string, 1<<14), named(1000)
	for i := range hot {
		hot[i] = each[zipf.Uint64()]
	}
	for _, c := range []struct {
		name string
		keys []string
		add  func(*Lanes, string) uint64
	}{
		{"keys=1", named(1), (*Lanes).Add},
		{"keys=1000", each, (*Lanes).Add},
		{"keys=100000", named(100_000), (*Lanes).Add}, // of which each is new
		{"keys=zipf", hot, (*Lanes).Add},
		{"alone", named(1), func(l *Lanes, _ string) uint64 { return l.AddAlone() }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var l Lanes
			var batch []uint64
			i := 0
			add := func() {
				c.add(&l, c.keys[i])
				if i++; i == len(c.keys) {
					i = 0
				}
			}
			for range 5000 {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
				batch = l.Take(batch[:0], 1, nil)
				l.Done(batch[0])
			}
		})
	}
}

// The cost of one record of one key that is handled with a thousand others.
func BenchmarkRecordOfABatch(b *testing.B) {
	var l Lanes
	var batch []uint64
	b.ReportAllocs()
	for b.Loop() {
		l.Add("")
		if l.Unfinished() == 1000 {
			batch = l.Take(batch[:0], 1000, nil)
			for _, o := range batch {
				l.Done(o)
			}
		}
	}
}

// The cost of one record behind a key that is stuck until 10,000 records are above the watermark.
func BenchmarkRecordBehindAStuckKey(b *testing.B) {
	var l Lanes
	var batch []uint64
	keys, i := named(1000), 0
	b.ReportAllocs()
	for b.Loop() {
		if l.Len() == 0 || l.Len() > 10_000 {
			if l.Len() > 0 {
				l.Done(l.Watermark())
			}
			l.Add("stuck")
			l.Take(batch[:0], 1, nil)
		}
		l.Add(keys[i])
		if i++; i == len(keys) {
			i = 0
		}
		batch = l.Take(batch[:0], 1, nil)
		l.Done(batch[0])
	}
}
