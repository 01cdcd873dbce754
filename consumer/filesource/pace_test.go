package filesource_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
	"github.com/runnelhq/runnel/internal/backoff"
)

// mustWait reports it if f does not take exactly so long.
func mustWait(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took != want {
		t.Errorf("it took %v, want %v", took, want)
	}
}

// TestAnIdleFileIsLookedAtEverLessOften, at multiples of the interval: time in the test begins at one.
func TestAnIdleFileIsLookedAtEverLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t)
		s.cfg.Busy, s.cfg.Idle = 0, 0 // the defaults
		s.write("a.jsonl", "one\n")
		r := s.open("a", checkpoint.Start{})
		mustWait(t, 0, func() { s.mustGive(r, "one") })
		begun := time.Now()
		for _, ms := range []int64{10, 20, 40, 80, 160, 320, 640, 1000, 2000} {
			mustWait(t, time.Until(time.UnixMilli(begun.UnixMilli()+ms)), func() { s.mustGive(r) })
		}
		s.add("a.jsonl", "two\n")
		mustWait(t, time.Second, func() { s.mustGive(r, "two") })
		mustWait(t, 10*time.Millisecond, func() { s.mustGive(r) })
	})
}

func TestAFileWithMoreIsReadOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t)
		s.cfg.Busy = time.Second
		s.cfg.Idle = time.Second
		s.write("a.jsonl", strings.Repeat(strings.Repeat("x", 99)+"\n", 30_000))
		s.write("a.end", "")
		r := s.open("a", checkpoint.Start{})
		mustWait(t, 0, func() {
			for n := 0; ; {
				p := s.page(r, consumer.Want{Records: 1000})
				n += len(p.Records)
				if p.End {
					if n != 30_000 {
						t.Errorf("it ended after %d records", n)
					}
					return
				}
			}
		})
	})
}

func TestAFaultyFileIsNotLookedAtAllTheTime(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		at      checkpoint.Start
		fault   error
		waits   []int // in seconds
	}{
		"cut":      {"one\n", "", after(4), filesource.ErrRewritten, []int{0, 2, 2, 4, 4}},
		"too long": {"", "12345\n", checkpoint.Start{}, filesource.ErrTooLong, []int{0, 2, 2, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(t)
				s.cfg.Busy, s.cfg.Idle, s.cfg.MaxLine = time.Second, 4*time.Second, 4
				s.write("a.jsonl", c.was)
				r := s.open("a", c.at)
				s.write("a.jsonl", c.is)
				for _, wait := range c.waits {
					mustWait(t, time.Duration(wait)*time.Second, func() {
						_, err := r.Next(t.Context(), consumer.Want{})
						mustBe(t, err, c.fault)
					})
				}
			})
		})
	}
}

// TestIdleFilesAreLookedAtTogether, so that a process with many of them wakes up once.
func TestIdleFilesAreLookedAtTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t)
		s.cfg.Busy, s.cfg.Idle = time.Second, time.Second
		s.write("a.jsonl", "")
		s.write("b.jsonl", "")
		a := s.open("a", checkpoint.Start{})
		s.mustGive(a)
		s.check(backoff.Wait(t.Context(), 300*time.Millisecond))
		b := s.open("b", checkpoint.Start{})
		s.mustGive(b)
		mustWait(t, 700*time.Millisecond, func() { s.mustGive(a) })
		mustWait(t, 0, func() { s.mustGive(b) })
	})
}

func TestNextReturnsAtOnceWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t)
		s.cfg.Busy, s.cfg.Idle = time.Hour, time.Hour
		s.write("a.jsonl", "one\n")
		r := s.open("a", checkpoint.Start{})
		s.mustGive(r, "one")
		ctx, cancel := contextWithCause(t)
		stop := time.AfterFunc(time.Second, cancel)
		defer stop.Stop()
		mustWait(t, time.Second, func() {
			_, err := r.Next(ctx, consumer.Want{})
			mustBe(t, err, errStopped)
		})
		s.add("a.jsonl", "two\nthree\n")
		if p := s.page(r, consumer.Want{Records: 1}); len(p.Records) != 1 {
			t.Errorf("the page has %q", lines(p))
		}
		_, err := r.Next(ctx, consumer.Want{})
		mustBe(t, err, errStopped)
		s.mustGive(r, "three")
	})
}
