package ordering

import "testing"

func BenchmarkLanes(b *testing.B) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = string(rune('a'+i%26)) + string(rune('0'+i/26))
	}
	var l Lanes
	var batch []uint64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Add(keys[i%len(keys)])
		if i >= 5000 {
			batch = l.Take(batch[:0], 1, nil)
			l.Done(batch[0])
		}
	}
}

func BenchmarkOneLane(b *testing.B) {
	var l Lanes
	var batch []uint64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Add("")
		if l.Unfinished() == 1000 {
			batch = l.Take(batch[:0], 1000, nil)
			for _, o := range batch {
				l.Done(o)
			}
		}
	}
}
