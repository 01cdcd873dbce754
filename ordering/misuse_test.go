package ordering

import (
	"math"
	"strings"
	"testing"
)

// panicked is what f panics with, "" if it does not.
func panicked(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text, _ = r.(string)
		}
	}()
	f()
	return ""
}

func TestWhatIsNotOutCannotComeBack(t *testing.T) {
	settle := map[string]func(*Lanes, uint64){
		"Done":   (*Lanes).Done,
		"Back":   func(l *Lanes, o uint64) { l.Back(o, 0, 1) },
		"Return": (*Lanes).Return,
	}
	for by, f := range settle {
		if text := panicked(func() { f(new(Lanes), 0) }); !strings.Contains(text, "record 0 is not one that was taken") {
			t.Errorf("%s on empty Lanes: panics with %q", by, text)
		}
		var l Lanes // from the watermark on: 2 waits for 1 and is done, 3 is done too, 4 waits
		for range 3 {
			l.Add("a")
		}
		l.Pass()
		l.Add("b")
		l.Take(nil, 3, nil)
		l.Done(0)
		l.Done(2)
		for _, o := range []uint64{0, 2, 3, 4, 5, 1 + 64, math.MaxUint64} {
			if text := panicked(func() { f(&l, o) }); !strings.Contains(text, "is not one that was taken and has not come back") {
				t.Errorf("%s of record %d: panics with %q", by, o, text)
			}
		}
		f(&l, 1)
		if text := panicked(func() { f(&l, 1) }); !strings.Contains(text, "record 1 is not one that was taken") {
			t.Errorf("%s twice: panics with %q", by, text)
		}
	}
}

func TestADoneRecordHasNoKey(t *testing.T) {
	var l Lanes
	l.Add("a")
	l.Pass()
	for _, o := range []uint64{1, 2, 64} {
		if text := panicked(func() { l.Key(o) }); !strings.Contains(text, "is done, or was never added") {
			t.Errorf("key of %d: panics with %q", o, text)
		}
	}
}

func TestRecordsBeyondTheBoundPanic(t *testing.T) {
	if n := grown(maxLen / 2); n != maxLen {
		t.Errorf("grows from %d to %d", maxLen/2, n)
	}
	if text := panicked(func() { grown(maxLen) }); !strings.Contains(text, "more than 2³⁰ records") {
		t.Errorf("one more than fit: panics with %q", text)
	}
}

func TestALimitThatIsFarTooHighIsNone(t *testing.T) {
	for _, limit := range []int{math.MaxInt, 1<<32 + 1} { // the second has low bits that are a limit of their own
		var l Lanes
		for range 3 {
			l.Add("a")
		}
		for _, o := range l.Take(nil, 3, nil) {
			l.Back(o, 0, limit)
		}
		l.Add("b")
		if batch := l.Take(nil, 9, nil); len(batch) != 3 {
			t.Errorf("limit %d: taken %v, want the three that failed", limit, batch)
		}
	}
}
