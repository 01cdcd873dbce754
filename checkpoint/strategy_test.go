package checkpoint_test

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

func TestStrategies(t *testing.T) {
	const never = checkpoint.Never
	anyOf := checkpoint.Any{checkpoint.EveryN(10), checkpoint.Every(time.Second), checkpoint.Any{checkpoint.EveryBytes(1000)}}
	for _, c := range []struct {
		name string
		s    checkpoint.Strategy
		p    checkpoint.Progress
		due  time.Duration
	}{
		{"every record, none", checkpoint.EveryRecord{}, checkpoint.Progress{}, never},
		{"every record, one", checkpoint.EveryRecord{}, checkpoint.Progress{Records: 1}, 0},
		{"every n, too few", checkpoint.EveryN(3), checkpoint.Progress{Records: 2}, never},
		{"every n, enough", checkpoint.EveryN(3), checkpoint.Progress{Records: 3}, 0},
		{"every 0 is every 1", checkpoint.EveryN(0), checkpoint.Progress{Records: 1}, 0},
		{"interval, half", checkpoint.Every(time.Second), checkpoint.Progress{Records: 1, Age: 400 * time.Millisecond}, 600 * time.Millisecond},
		{"interval, over", checkpoint.Every(time.Second), checkpoint.Progress{Records: 1, Age: time.Minute}, 0},
		{"bytes, too few", checkpoint.EveryBytes(10), checkpoint.Progress{Records: 1, Bytes: 9}, never},
		{"bytes, enough", checkpoint.EveryBytes(10), checkpoint.Progress{Records: 1, Bytes: 10}, 0},
		{"any: the first that is due", anyOf, checkpoint.Progress{Records: 1, Bytes: 1000}, 0},
		{"any: the shortest wait", anyOf, checkpoint.Progress{Records: 9, Bytes: 1, Age: 300 * time.Millisecond}, 700 * time.Millisecond},
		{"any of none", checkpoint.Any{}, checkpoint.Progress{Records: 9}, never},
		{"manual", checkpoint.Manual{}, checkpoint.Progress{Records: 1 << 30, Bytes: 1 << 40, Age: time.Hour}, never},
	} {
		if got := c.s.Due(c.p); got != c.due {
			t.Errorf("%s: due in %v, want %v", c.name, got, c.due)
		}
	}
}

func TestWindowBoundsWhatACrashRepeats(t *testing.T) {
	for _, c := range []struct {
		s    checkpoint.Strategy
		want int
	}{
		{checkpoint.EveryRecord{}, 1},
		{checkpoint.EveryN(10), 20},
		{checkpoint.EveryN(0), 2},
		{checkpoint.Every(time.Second), 0},
		{checkpoint.EveryBytes(5), 0},
		{checkpoint.Manual{}, 0},
		{checkpoint.Any{checkpoint.Every(time.Second), checkpoint.EveryN(7), checkpoint.EveryN(3)}, 6},
		{checkpoint.Any{checkpoint.Every(time.Second)}, 0},
	} {
		if got := checkpoint.Window(c.s); got != c.want {
			t.Errorf("%#v: window %d, want %d", c.s, got, c.want)
		}
	}
}
