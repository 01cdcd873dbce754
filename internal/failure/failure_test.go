package failure_test

import (
	"flag"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/failure"
	"github.com/runnelhq/runnel/ordering"
)

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// shard is the model: records in lanes, a handler that fails on poisons or because what it calls is down, and a policy that decides.
type shard struct {
	policy  failure.Policy
	lanes   ordering.Lanes
	records []record
	now     time.Duration
}

type record struct {
	poison, permanent bool
	born              time.Duration
	tried             int // failed calls that were its own or its company's fault, and were not split
	spent             int // attempts, as the policy counts
	reason            failure.Reason
	done              bool
}

func drawnPolicy(t *rapid.T) failure.Policy {
	base := rapid.Int64Range(1, 1000).Draw(t, "base")
	return failure.Policy{
		Backoff:     backoff.Policy{Base: time.Duration(base), Cap: time.Duration(base * rapid.Int64Range(1, 64).Draw(t, "cap"))},
		MaxAttempts: rapid.IntRange(0, 4).Draw(t, "most attempts"),
		MaxAge:      time.Duration(rapid.SampledFrom([]int64{0, 100, 3000}).Draw(t, "most age")),
		Bisect:      rapid.Bool().Draw(t, "bisect"),
	}
}

// call handles what may be handled now, and reports whether anything was.
func (s *shard) call(t *rapid.T, down bool) bool {
	s.lanes.Wake(int64(s.now))
	batch := s.lanes.Take(nil, 8, nil)
	poisoned := slices.ContainsFunc(batch, func(o uint64) bool { return s.records[o].poison })
	switch {
	case len(batch) == 0:
		return false
	case down || poisoned:
		s.failed(t, batch, down)
	default:
		for _, o := range batch {
			s.records[o].done = true
			s.lanes.Done(o)
		}
	}
	return true
}

func (s *shard) failed(t *rapid.T, batch []uint64, down bool) {
	f := failure.Failure{Records: len(batch), Attempt: math.MaxInt, Unspent: down}
	for _, o := range batch {
		f.Attempt = min(f.Attempt, s.records[o].spent+1)
		f.Permanent = f.Permanent || !down && s.records[o].poison && s.records[o].permanent
	}
	if rapid.Bool().Draw(t, "asks for a wait") {
		f.After = time.Duration(rapid.Int64Range(1, 500).Draw(t, "after"))
	}
	split := s.policy.Bisect && len(batch) > 1 && !down
	next := s.policy.Next(f, rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "dice"))
	s.bounds(t, f, next, split)
	for _, o := range batch {
		r := &s.records[o]
		age := s.now - r.born
		reason := s.policy.Exhausted(f, r.spent+1, age)
		if !split && !down {
			r.tried++
		}
		s.justified(t, r, f, reason, split, age)
		if next.Spends {
			r.spent++
		}
		if r.reason = reason; reason != failure.None {
			s.lanes.Done(o)
			continue
		}
		s.lanes.Back(o, int64(s.now+next.Wait), next.Limit)
	}
}

// bounds are what must hold of every decision.
func (s *shard) bounds(t *rapid.T, f failure.Failure, next failure.Next, split bool) {
	ceiling := min(s.policy.Backoff.Cap, s.policy.Backoff.Base<<min(f.Attempt-1, 7)) // the cap is at most 64 times the base
	switch {
	case split && (next.Limit != (f.Records+1)/2 || next.Wait != 0 || next.Spends):
		t.Fatalf("%+v is split: %+v", f, next)
	case split:
	case next.Limit != f.Records || next.Spends == f.Unspent:
		t.Fatalf("%+v is not split: %+v", f, next)
	case f.After > 0 && next.Wait != f.After:
		t.Fatalf("%+v waits %v", f, next.Wait)
	case f.After == 0 && (next.Wait < 0 || next.Wait > ceiling):
		t.Fatalf("%+v waits %v, want up to %v", f, next.Wait, ceiling)
	}
}

// justified wants each reason exactly when it holds, counted by the calls themselves.
func (s *shard) justified(t *rapid.T, r *record, f failure.Failure, reason failure.Reason, split bool, age time.Duration) {
	attempts := s.policy.MaxAttempts > 0 && r.tried >= s.policy.MaxAttempts
	old := s.policy.MaxAge > 0 && age > s.policy.MaxAge
	want := failure.None
	switch {
	case split || f.Unspent: // nobody is to blame yet, or none of them
	case f.Permanent:
		want = failure.Permanent
	case attempts:
		want = failure.Attempts
	case old:
		want = failure.Age
	}
	if reason != want {
		t.Fatalf("%+v of age %v in %+v under %+v is given up for %q, want %q", *r, age, f, s.policy, reason, want)
	}
}

func TestEachRecordEndsDoneOrGivenUpForAReasonOrIsStillOwned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &shard{policy: drawnPolicy(t)}
		for range rapid.IntRange(1, 16).Draw(t, "records") {
			s.lanes.Add(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"))
			s.records = append(s.records, record{poison: rapid.IntRange(0, 4).Draw(t, "poison") == 0, permanent: rapid.Bool().Draw(t, "permanent")})
		}
		outage := rapid.IntRange(0, 20).Draw(t, "calls while it is down")
		for n := 0; n < 300 && s.lanes.Unfinished() > 0; n++ {
			if !s.call(t, n < outage) {
				until, waits := s.lanes.Next()
				if !waits {
					t.Fatalf("%d are unfinished and none is ready or waits", s.lanes.Unfinished())
				}
				s.now = max(s.now, time.Duration(until))
			}
		}
		owned := 0
		for o, r := range s.records {
			switch {
			case r.done && r.reason != failure.None:
				t.Fatalf("record %d is done and given up: %+v", o, r)
			case !r.done && r.reason == failure.None:
				owned++
			}
			if r.spent != r.tried {
				t.Fatalf("record %d spent %d attempts in %d tries", o, r.spent, r.tried)
			}
			if s.policy.Bisect && !r.poison && (r.spent > 0 || !r.done && r.reason != failure.None) {
				t.Fatalf("record %d is to blame for nothing: %+v", o, r)
			}
		}
		if owned != s.lanes.Unfinished() {
			t.Fatalf("%d are neither done nor given up, and %d are owned", owned, s.lanes.Unfinished())
		}
		if s.policy.MaxAttempts > 0 && owned > 0 {
			t.Fatalf("%d are owned after %d attempts each", owned, s.policy.MaxAttempts)
		}
	})
}

func TestTheLongestWaitIsNoNegativeOne(t *testing.T) {
	p := failure.Policy{Backoff: backoff.Policy{Base: math.MaxInt64, Cap: math.MaxInt64}}
	for _, dice := range []float64{0, 0.5, math.Nextafter(1, 0)} {
		if wait := p.Next(failure.Failure{Records: 1, Attempt: 1}, dice).Wait; wait < 0 || dice > 0 && wait < time.Hour {
			t.Errorf("%v of the longest wait is %v", dice, wait)
		}
	}
}

func TestTheWholeRangeOfTheBackOffIsUsed(t *testing.T) {
	p := failure.Policy{Backoff: backoff.Policy{Base: 3, Cap: 3}}
	for dice, want := range map[float64]time.Duration{0: 0, 0.25: 1, 0.5: 2, 0.75: 3, math.Nextafter(1, 0): 3} {
		if wait := p.Next(failure.Failure{Records: 1, Attempt: 1}, dice).Wait; wait != want {
			t.Errorf("dice %v: %v, want %v", dice, wait, want)
		}
	}
}

func TestARecordIsAsOldAsItsBoundBeforeItIsTooOld(t *testing.T) {
	p := failure.Policy{MaxAge: time.Second}
	if r := p.Expired(time.Second); r != failure.None {
		t.Errorf("at its bound: %q", r)
	}
	if r := p.Expired(time.Second + 1); r != failure.Age {
		t.Errorf("beyond: %q", r)
	}
	if r := (failure.Policy{}).Expired(math.MaxInt64); r != failure.None {
		t.Errorf("without a bound: %q", r)
	}
}
