package lease

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// publishes feeds a meter with a rate for a time, a second at a time, and gives what was published, one after another.
func publishes(m *meter, published uint64, rate func(at time.Duration) float64, d time.Duration) (all []uint64) {
	for at := time.Second; at <= d; at += time.Second {
		m.add(uint64(rate(at)), time.Second)
		if w := m.weight(published); w != published {
			published = w
			all = append(all, w)
		}
	}
	return all
}

func steady(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func TestASteadyShardPublishesItsRateOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(idleBelow+1, 1e9).Draw(t, "rate")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		noisy := func(time.Duration) float64 { return rate * (0.8 + 0.4*r.Float64()) }
		if rate < 1.1*idleBelow {
			noisy = func(time.Duration) float64 { return rate + 1 }
		}
		got := publishes(new(meter), 0, noisy, time.Hour)
		if len(got) != 1 || math.Abs(float64(got[0])/rate-1) > 0.2 {
			t.Fatalf("a shard of %.0f B/s published %v", rate, got)
		}
	})
}

func TestAShardBelowTheFloorPublishesNothing(t *testing.T) {
	if got := publishes(new(meter), 0, steady(idleBelow-1), time.Hour); len(got) > 0 {
		t.Errorf("published %v", got)
	}
}

func TestAShardThatBecomesIdlePublishesThatOnce(t *testing.T) {
	m := new(meter)
	got := publishes(m, 0, steady(2000), 10*time.Minute)
	got = append(got, publishes(m, got[len(got)-1], steady(0), time.Hour)...)
	if len(got) < 2 || got[len(got)-1] != 0 || slices.Contains(got[:len(got)-1], 0) {
		t.Errorf("published %v, want a rate, and at last 0", got)
	}
	if more := publishes(m, 0, steady(900), time.Hour); len(more) > 0 {
		t.Errorf("below the floor published %v", more)
	}
}

func TestARateAtTheFloorDoesNotFlap(t *testing.T) {
	m := new(meter)
	slow := func(at time.Duration) float64 { return 1000 + 300*math.Sin(at.Minutes()/10) }
	if got := publishes(m, 0, slow, 24*time.Hour); len(got) != 1 {
		t.Errorf("published %v", got)
	}
}

func TestARateWithinAFactorOfWhatIsPublishedPublishesNothing(t *testing.T) {
	for _, c := range []struct {
		rate float64
		want uint64
	}{{100_000, 100_000}, {149_000, 100_000}, {151_000, 147_456}, {67_000, 100_000}, {66_000, 65_536}} {
		m := new(meter)
		m.add(uint64(c.rate*60), time.Minute)
		if got := m.weight(100_000); got != c.want {
			t.Errorf("%.0f B/s after 100000 were published: %d, want %d", c.rate, got, c.want)
		}
	}
}

func TestAStepIsPublishedWithinMinutesInFewWrites(t *testing.T) {
	m := new(meter)
	publishes(m, 0, steady(10_000), 10*time.Minute)
	got := publishes(m, 10_240, steady(1_000_000), 5*time.Minute)
	if len(got) == 0 || len(got) > 12 || got[len(got)-1] < 1_000_000*2/3 {
		t.Errorf("a step from 10 kB/s to 1 MB/s published %v", got)
	}
}

// After a minute a third of what was measured counts, neither more nor less.
func TestAMinuteForgetsAllButAThird(t *testing.T) {
	m := new(meter)
	m.add(6_000_000, time.Minute)
	m.add(0, time.Minute)
	if got, want := m.weight(0), rounded(26_894); got != want { // 100,000 B/s, weighted e^-1 to 1
		t.Errorf("a minute of nothing after one of 100 kB/s is %d B/s; want %d", got, want)
	}
}

func TestWhatIsPublishedHasFourDigits(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 0, 1: 1, 15: 15, 16: 16, 17: 18, 31: 32, 0b1010_0111: 0b1010_0000, 0b1010_1000: 0b1011_0000, 0b1111_1000: 1 << 8} {
		if got := rounded(n); got != want {
			t.Errorf("%b is rounded to %b; want %b", n, got, want)
		}
	}
}

// A shard that was just taken is behind: what lay waiting comes in a second.
func TestCatchingUpAfterATakeoverPublishesNothing(t *testing.T) {
	behind := func(at time.Duration) float64 {
		if at == time.Second {
			return 15 * 100_000
		}
		return 100_000
	}
	if got := publishes(new(meter), 98_304, behind, 10*time.Minute); len(got) > 0 {
		t.Errorf("published %v", got)
	}
}

// The rate does not depend on how the time was cut.
func TestTheMeterWeighsByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rate = 50_000
		m := new(meter)
		for range 200 {
			d := time.Duration(rapid.IntRange(0, 10_000).Draw(t, "milliseconds")) * time.Millisecond
			m.add(uint64(rate*d.Seconds()), d)
		}
		if m.span < weightAfter.Seconds() {
			return
		}
		if got := m.weight(0); got != rounded(rate) {
			t.Fatalf("measured %d, want %d", got, rounded(rate))
		}
	})
}

func TestTheMeterBearsAnyInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := new(meter)
		published := rapid.Uint64().Draw(t, "published")
		for range rapid.IntRange(0, 20).Draw(t, "times") {
			m.add(rapid.Uint64().Draw(t, "bytes"), time.Duration(rapid.Int64().Draw(t, "duration")))
			w := m.weight(published)
			if w != published && w != 0 && (w < idleBelow || w > maxWeight) {
				t.Fatalf("weight %d", w)
			}
			if again := m.weight(w); again != w && w < maxWeight {
				t.Fatalf("after %d was published, %d shall be", w, again)
			}
			published = w
		}
	})
}
