package ordering

import (
	"fmt"
	"runtime"
	"testing"
)

// A reader with a window of a thousand records meets a key that fails until the window is full, and then the next such key, for a million records.
func TestMemoryIsFlatOverAMillionRecordsWithAKeyThatIsStuck(t *testing.T) {
	const window = 1000
	keys := make([]string, 5000) // more than the window holds: keys come and go
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
	}
	var (
		l     Lanes
		batch []uint64
		now   int64
		most  int
	)
	read := func(records int) {
		for n := range records {
			for l.Len() >= window { // what holds the watermark is done at last
				now++
				l.Wake(now)
				batch = l.Take(batch[:0], 1, nil)
				for _, o := range batch {
					l.Done(o)
				}
			}
			l.Add(keys[n*7919%len(keys)])
			most = max(most, l.Len())
			batch = l.Take(batch[:0], 10, nil)
			for _, o := range batch {
				if o == l.Watermark() && o%window == 0 {
					l.Back(o, now+10, 1)
				} else {
					l.Done(o)
				}
			}
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	read(50_000)
	before, ring, lanes := heap(), len(l.ring), cap(l.lanes)
	read(1_000_000)
	after := heap()
	if most != window {
		t.Errorf("%d records were held at most, want the window of %d: no key was stuck", most, window)
	}
	if len(l.ring) != ring || cap(l.lanes) != lanes {
		t.Errorf("from %d entries and %d lanes to %d and %d", ring, lanes, len(l.ring), cap(l.lanes))
	}
	if after > before+64<<10 {
		t.Errorf("the heap grew from %d B to %d B", before, after)
	}
	if n := testing.AllocsPerRun(10, func() { read(10_000) }); n > 0 {
		t.Errorf("%v allocations for 10,000 records", n)
	}
}
