package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	scope     = deadletter.Scope{App: "billing", Stream: "orders"}
	errPoison = errors.New("poison")
	errDown   = errors.New("the store is down")
)

func letter(key string, n uint64) deadletter.Letter {
	return deadletter.Letter{Scope: scope, Shard: "shard " + key, Position: checkpoint.Offset(n), Key: key, Payload: fmt.Appendf(nil, "%s%d", key, n)}
}

func letters(key string, n uint64) (ls []deadletter.Letter) {
	for i := range n {
		ls = append(ls, letter(key, i+1))
	}
	return ls
}

// tapped is a store that tells of each call before it is made, by the name of its method and its claim's time. An error of tap is the call's, with or without its effect.
type tapped struct {
	deadletter.Store
	mu      sync.Mutex
	tap     func(ctx context.Context, call string, d time.Duration) error
	effect  bool
	queries []deadletter.Query
}

func (s *tapped) set(tap func(context.Context, string, time.Duration) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = tap
}

func (s *tapped) do(ctx context.Context, call string, d time.Duration, f func() error) error {
	s.mu.Lock()
	tap := s.tap
	s.mu.Unlock()
	if tap == nil {
		return f()
	}
	if err := tap(ctx, call, d); err != nil {
		if s.effect {
			_ = f()
		}
		return err
	}
	return f()
}

func (s *tapped) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	return s.do(ctx, "claim", d, func() error { return s.Store.Claim(ctx, c, d) })
}

func (s *tapped) Settle(ctx context.Context, c deadletter.Claim, id string, f *deadletter.Failure) error {
	return s.do(ctx, "settle", 0, func() error { return s.Store.Settle(ctx, c, id, f) })
}

func (s *tapped) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	s.queries = append(s.queries, q)
	return func(yield func(deadletter.Letter, error) bool) {
		if err := s.do(ctx, "read", 0, func() error { return nil }); err != nil {
			yield(deadletter.Letter{}, err)
			return
		}
		s.Store.Read(ctx, q)(yield)
	}
}

func (s *tapped) Parked(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(yield func(deadletter.Parking, error) bool) {
		if err := s.do(ctx, "parked", 0, func() error { return nil }); err != nil {
			yield(deadletter.Parking{}, err)
			return
		}
		s.Store.Parked(ctx, scope)(yield)
	}
}

func park(t *testing.T, s deadletter.Store, ls ...deadletter.Letter) {
	t.Helper()
	if err := s.Park(t.Context(), ls, true); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s deadletter.Store, ls ...deadletter.Letter) {
	t.Helper()
	if err := s.Put(t.Context(), ls); err != nil {
		t.Fatal(err)
	}
}

// left are the payloads of the letters that are stored.
func left(t *testing.T, s deadletter.Store) string {
	t.Helper()
	var all []string
	for l, err := range s.Read(context.WithoutCancel(t.Context()), deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(l.Payload))
	}
	return strings.Join(all, " ")
}

func parkedKeys(t *testing.T, s deadletter.Store) (keys []string) {
	t.Helper()
	for p, err := range s.Parked(t.Context(), scope) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, p.Key)
	}
	return keys
}

// handler notes what it is given, and fails for some.
type handler struct {
	seen []string
	bad  []string
}

func (h *handler) handle(_ context.Context, l deadletter.Letter) error {
	h.seen = append(h.seen, string(l.Payload))
	if slices.Contains(h.bad, string(l.Payload)) {
		return fmt.Errorf("handling %s: %w", l.Payload, errPoison)
	}
	return nil
}

func (h *handler) saw(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(h.seen, " "); got != want {
		t.Errorf("the handler was given %q; want %q", got, want)
	}
}

func redrive(t *testing.T, s deadletter.Store, q deadletter.Query, o deadletter.RedriveOptions, handle func(context.Context, deadletter.Letter) error, want deadletter.Redriven) {
	t.Helper()
	q.Scope = scope
	got, err := deadletter.Redrive(t.Context(), s, q, o, handle)
	if err != nil {
		t.Errorf("Redrive: %v", err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Redrive says %+v; want %+v", got, want)
	}
}

func expect(t *testing.T, s deadletter.Store, letters string, parked ...string) {
	t.Helper()
	if got := left(t, s); got != letters {
		t.Errorf("the letters that are left: %q; want %q", got, letters)
	}
	if got := parkedKeys(t, s); !slices.Equal(got, parked) {
		t.Errorf("the keys that are parked: %q; want %q", got, parked)
	}
}

func TestLettersAreRedrivenKeyAfterKeyInOrder(t *testing.T) {
	s, h := memletters.New(), &handler{}
	park(t, s, letters("b", 3)...)
	put(t, s, letters("a", 2)...)
	put(t, s, letter("", 1))
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 6})
	h.saw(t, "1 a1 a2 b1 b2 b3")
	expect(t, s, "")
}

func TestALetterThatFailsHoldsTheRestOfAParkedKey(t *testing.T) {
	s, h := memletters.New(), &handler{bad: []string{"a2"}}
	park(t, s, letters("a", 3)...)
	park(t, s, letters("b", 1)...)
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Worker: "worker-1"}, h.handle, deadletter.Redriven{Done: 2, Failed: 1})
	h.saw(t, "a1 a2 b1")
	expect(t, s, "a2 a3", "a")
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: scope, ID: letter("a", 2).ID()}) {
		if err != nil || len(l.History) != 1 || l.History[0].Worker != "worker-1" || l.History[0].At.IsZero() || !slices.Equal(l.History[0].Errors, []string{"handling a2: poison", "poison"}) {
			t.Errorf("the history of the letter is %+v, %v; want the failure", l.History, err)
		}
	}
	h.bad, h.seen = nil, nil
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 2})
	h.saw(t, "a2 a3")
	expect(t, s, "")
}

func TestALetterThatFailsHoldsNothingOfAKeyThatIsNotParked(t *testing.T) {
	s, h := memletters.New(), &handler{bad: []string{"a1", "a3"}}
	put(t, s, letters("a", 4)...)
	park(t, s, letter("z", 1)) // another key's parking is no matter
	redrive(t, s, deadletter.Query{Key: "a"}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 2, Failed: 2})
	h.saw(t, "a1 a2 a3 a4")
	expect(t, s, "a1 a3 z1", "z")
}

func TestAKeyThatIsParkedDuringItsRedriveIsHeldFromThen(t *testing.T) {
	s, h := memletters.New(), &handler{bad: []string{"a1", "a2"}}
	put(t, s, letters("a", 3)...)
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, func(ctx context.Context, l deadletter.Letter) error {
		if string(l.Payload) == "a2" {
			park(t, s, letter("a", 4))
		}
		return h.handle(ctx, l)
	}, deadletter.Redriven{Failed: 2})
	h.saw(t, "a1 a2")
	expect(t, s, "a1 a2 a3 a4", "a")
}

func TestAPanicIsAFailure(t *testing.T) {
	for _, p := range []any{"oh", errPoison} {
		s := memletters.New()
		park(t, s, letter("a", 1))
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, func(context.Context, deadletter.Letter) error { panic(p) }, deadletter.Redriven{Failed: 1})
		for l, err := range s.Read(t.Context(), deadletter.Query{Scope: scope}) {
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("deadletter: the handler panicked: %v", p); len(l.History) != 1 || l.History[0].Errors[0] != want {
				t.Errorf("the history is %+v; want %q", l.History, want)
			}
		}
		expect(t, s, "a1", "a")
	}
}

func TestAKeyOfAnotherRedriveIsLeftOutAndNamed(t *testing.T) {
	s, h := memletters.New(), &handler{}
	put(t, s, letter("a", 1), letter("b", 1), letter("c", 1))
	other := deadletter.Claim{Scope: scope, Key: "b", Token: "other"}
	if err := s.Claim(t.Context(), other, time.Hour); err != nil {
		t.Fatal(err)
	}
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 2, Claimed: []string{"b"}})
	h.saw(t, "a1 c1")
	if err := s.Settle(t.Context(), other, letter("b", 1).ID(), nil); err != nil {
		t.Errorf("the other redrive, after this one: %v", err)
	}
}

func TestLettersThatAreAppendedMeanwhileAreRedriven(t *testing.T) {
	s, h := memletters.New(), &handler{}
	park(t, s, letter("a", 1))
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, func(ctx context.Context, l deadletter.Letter) error {
		if n := uint64(len(h.seen)); n < 3 {
			if err := s.Park(ctx, []deadletter.Letter{letter("a", n+2)}, false); err != nil {
				t.Errorf("append during the redrive: %v", err)
			}
		}
		return h.handle(ctx, l)
	}, deadletter.Redriven{Done: 4})
	h.saw(t, "a1 a2 a3 a4")
	expect(t, s, "")
}

func TestAQuerySaysWhatIsRedriven(t *testing.T) {
	for _, c := range []struct {
		name string
		q    deadletter.Query
		want string
	}{
		{"a key", deadletter.Query{Key: "a"}, "a1 a2 a3"},
		{"the key without a name", deadletter.Query{Keyed: true}, "1"},
		{"a letter", deadletter.Query{ID: letter("a", 2).ID()}, "a2"},
		{"at most three", deadletter.Query{Limit: 3}, "1 a1 a2"},
		{"heads are redriven whole", deadletter.Query{Key: "b", Heads: true}, "b1"},
		{"after the second letter stored", deadletter.Query{After: 2}, "a2 a3 b1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := memletters.New(), &handler{}
			put(t, s, letter("", 1))
			put(t, s, letters("a", 3)...)
			put(t, s, letter("b", 1))
			redrive(t, s, c.q, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: len(strings.Fields(c.want))})
			h.saw(t, c.want)
		})
	}
}

func TestALimitCountsFailures(t *testing.T) {
	s, h := memletters.New(), &handler{bad: []string{"a1", "b1"}}
	park(t, s, letter("a", 1))
	park(t, s, letter("b", 1))
	redrive(t, s, deadletter.Query{Limit: 1}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Failed: 1})
	h.saw(t, "a1")
}

func TestALimitCountsNoLettersOfKeysThatAreLeftOut(t *testing.T) {
	s, h := memletters.New(), &handler{}
	put(t, s, letters("a", 3)...)
	put(t, s, letter("b", 1))
	if err := s.Claim(t.Context(), deadletter.Claim{Scope: scope, Key: "a", Token: "other"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	redrive(t, s, deadletter.Query{Limit: 2}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 1, Claimed: []string{"a"}})
	h.saw(t, "b1")
}

func TestNothingIsHandledAfterTheEnd(t *testing.T) {
	s, h := memletters.New(), &handler{}
	put(t, s, letter("a", 1))
	ctx, cancel := context.WithCancel(t.Context())
	o := deadletter.RedriveOptions{Limiter: limiter(func(context.Context, int) error { cancel(); return nil })}
	if _, err := deadletter.Redrive(ctx, s, deadletter.Query{Scope: scope}, o, h.handle); !errors.Is(err, context.Canceled) {
		t.Errorf("Redrive says %v; want the end of its context", err)
	}
	h.saw(t, "")
}

type limiter func(context.Context, int) error

func (f limiter) Wait(ctx context.Context, records int) error { return f(ctx, records) }

func TestTheLimiterIsAskedBeforeEachLetter(t *testing.T) {
	s, h := memletters.New(), &handler{}
	put(t, s, letters("a", 3)...)
	var asked []string
	o := deadletter.RedriveOptions{Limiter: limiter(func(_ context.Context, records int) error {
		asked = append(asked, fmt.Sprintf("%d before %d", records, len(h.seen)))
		if len(asked) == 3 {
			return errDown
		}
		return nil
	})}
	got, err := deadletter.Redrive(t.Context(), s, deadletter.Query{Scope: scope}, o, h.handle)
	if !errors.Is(err, errDown) || got.Done != 2 || fmt.Sprint(asked) != "[1 before 0 1 before 1 1 before 2]" {
		t.Errorf("Redrive says %+v, %v, and asked the limiter for %q; want the limiter's error before the third", got, err, asked)
	}
	expect(t, s, "a3")
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for _, c := range []struct {
		o deadletter.RedriveOptions
		f func(context.Context, deadletter.Letter) error
	}{{deadletter.RedriveOptions{Claim: -1}, new(handler).handle}, {}} {
		if _, err := deadletter.Redrive(t.Context(), memletters.New(), deadletter.Query{}, c.o, c.f); err == nil {
			t.Errorf("Redrive with %+v succeeded; want an error", c.o)
		}
	}
}

func TestKeysAreListedOnceWithoutPayloads(t *testing.T) {
	s := &tapped{Store: memletters.New()}
	put(t, s, letters("b", 3)...)
	put(t, s, letters("", 2)...)
	put(t, s, letters("a", 2)...)
	var got []string
	for key, err := range deadletter.Keys(t.Context(), s, deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, []string{"", "a", "b"}) || len(s.queries) != 1 || !s.queries[0].Heads {
		t.Errorf("the keys are %q, read by %+v; want each once, by heads", got, s.queries)
	}
	for _, err := range deadletter.Keys(t.Context(), s, deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		break // and a listing can be left early
	}
}

// world is what an interrupted redrive and the next one see.
type world struct {
	*tapped
	handler
	t *testing.T
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, tapped: &tapped{Store: memletters.New()}}
	park(t, w.Store, letters("a", 3)...)
	put(t, w.Store, letters("b", 2)...)
	park(t, w.Store, letters("c", 2)...)
	return w
}

// recover has another redrive do the rest, and wants every letter handled, in order inside a key but for what is repeated, and repeats of one letter only.
func (w *world) recover(what string) {
	w.t.Helper()
	w.tap = nil
	got, err := deadletter.Redrive(w.t.Context(), w.Store, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
	if err != nil || len(got.Claimed)+len(got.Lost)+got.Failed > 0 {
		w.t.Errorf("%s: the next redrive says %+v, %v; want every claim given back", what, got, err)
	}
	expect(w.t, w.Store, "")
	if got := strings.Join(slices.Compact(slices.Clone(w.seen)), " "); got != "a1 a2 a3 b1 b2 c1 c2" {
		w.t.Errorf("%s: the handler was given %q; want every letter in order, one perhaps twice", what, w.seen)
	}
	if len(w.seen) > 8 {
		w.t.Errorf("%s: the handler was given %q; want one letter twice at most", what, w.seen)
	}
}

func TestARedriveMayBeInterruptedAtEachStep(t *testing.T) {
	interrupted := 0
	for step := 0; ; step++ {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		at := ""
		w.tap = func(ctx context.Context, call string, d time.Duration) error {
			if calls++; calls == step+1 {
				at = fmt.Sprintf("interrupted at call %d, %s for %v", step, call, d)
				cancel()
			}
			return ctx.Err() // as a store on a network does
		}
		_, err := deadletter.Redrive(ctx, w, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
		cancel()
		if at == "" {
			break
		}
		interrupted++
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", at, err)
		}
		w.recover(at)
		if len(w.seen) != 7 {
			t.Errorf("%s: the handler was given %q; want each letter once, for a redrive that is told to end settles what it handled", at, w.seen)
		}
	}
	if interrupted < 20 {
		t.Errorf("only %d steps were interrupted", interrupted)
	}
}

func TestARedriveMayFailAtEachStep(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for step := 0; ; step++ {
			w := newWorld(t)
			w.effect = effect
			calls, at := 0, ""
			w.tap = func(_ context.Context, call string, d time.Duration) error {
				if calls++; calls == step+1 && (call != "claim" || d > 0) {
					at = fmt.Sprintf("failed at call %d, %s, with its effect %t", step, call, effect)
					return errDown
				}
				return nil
			}
			_, err := deadletter.Redrive(t.Context(), w, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
			if step >= calls {
				break
			}
			if at == "" { // the claim was given back
				continue
			}
			if !errors.Is(err, errDown) {
				t.Errorf("%s: Redrive says %v; want the store's error", at, err)
			}
			w.recover(at)
		}
	}
}

func TestWhatIsHandledWhileTheRedriveEndsIsSettled(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := deadletter.Redrive(ctx, s, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, func(context.Context, deadletter.Letter) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || got.Done != 1 {
		t.Errorf("Redrive says %+v, %v; want one letter done", got, err)
	}
	expect(t, s, "a2", "a")
}

func TestAFailureAfterTheEndIsNotPutDownToTheLetter(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := deadletter.Redrive(ctx, s, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, func(ctx context.Context, _ deadletter.Letter) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || got.Failed != 0 {
		t.Errorf("Redrive says %+v, %v; want no failure", got, err)
	}
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: scope}) {
		if err != nil || l.History != nil {
			t.Errorf("the history is %+v; want none", l.History)
		}
	}
}

// sleep waits in the virtual time of a bubble.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func TestAClaimIsRenewedWhileTheHandlerWorksAndGivenBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memletters.New()
		put(t, s, letter("a", 1))
		other := deadletter.Claim{Scope: scope, Key: "a", Token: "other"}
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, func(ctx context.Context, _ deadletter.Letter) error {
			for range 100 {
				if err := sleep(ctx, 5*time.Second); err != nil {
					return err
				}
				if err := s.Claim(ctx, other, time.Minute); !errors.Is(err, deadletter.ErrClaimed) {
					t.Errorf("another's Claim during the redrive: %v; want deadletter.ErrClaimed", err)
				}
			}
			return nil
		}, deadletter.Redriven{Done: 1})
		if err := s.Claim(t.Context(), other, time.Minute); err != nil {
			t.Errorf("another's Claim after the redrive: %v", err)
		}
	})
}

func TestARenewalThatFailsOnceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tapped{Store: memletters.New()}
		put(t, s, letter("a", 1))
		calls := 0
		s.tap = func(_ context.Context, call string, d time.Duration) error {
			if call == "claim" && d > 0 {
				if calls++; calls%2 == 0 {
					return errDown
				}
			}
			return nil
		}
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 9 * time.Second}, func(ctx context.Context, _ deadletter.Letter) error {
			return sleep(ctx, time.Minute)
		}, deadletter.Redriven{Done: 1})
	})
}

func TestAClaimThatCannotBeRenewedEndsTheHandlerInTimeAndTheKey(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &tapped{Store: memletters.New()}
			put(t, s, letters("a", 2)...)
			put(t, s, letter("b", 1))
			claims := 0
			s.tap = func(ctx context.Context, call string, d time.Duration) error {
				if call != "claim" || d == 0 {
					return nil
				}
				if claims++; claims == 1 {
					return nil
				}
				if hangs {
					<-ctx.Done()
					return ctx.Err()
				}
				return errDown
			}
			start := time.Now()
			redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 30 * time.Second}, func(ctx context.Context, l deadletter.Letter) error {
				if l.Key == "b" {
					return nil
				}
				err := sleep(ctx, time.Hour)
				if lasted := time.Since(start); lasted > 30*time.Second || lasted < 10*time.Second {
					t.Errorf("the handler's context ended after %v; want no later than the claim", lasted)
				}
				s.set(nil)
				return err
			}, deadletter.Redriven{Done: 1, Lost: []string{"a"}})
			expect(t, s, "a1 a2")
		})
	}
}

func TestAKeyThatAnotherTookIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tapped{Store: memletters.New()}
		park(t, s, letters("a", 2)...)
		put(t, s, letter("b", 1))
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 30 * time.Second}, func(ctx context.Context, l deadletter.Letter) error {
			if l.Key == "b" {
				return nil
			}
			s.set(func(_ context.Context, call string, _ time.Duration) error {
				if call == "claim" {
					return deadletter.ErrClaimed
				}
				return nil
			})
			start := time.Now()
			err := sleep(ctx, time.Hour)
			if lasted := time.Since(start); lasted != 10*time.Second {
				t.Errorf("the handler's context ended after %v; want it to end with the first renewal", lasted)
			}
			s.set(nil)
			return err
		}, deadletter.Redriven{Done: 1, Lost: []string{"a"}})
		expect(t, s, "a1 a2", "a")
	})
}

func TestALetterHandledUnderALostClaimIsNotSettled(t *testing.T) {
	s := &tapped{Store: memletters.New()}
	park(t, s, letters("a", 2)...)
	s.tap = func(_ context.Context, call string, _ time.Duration) error {
		if call == "settle" {
			return deadletter.ErrNotClaimed
		}
		return nil
	}
	h := &handler{}
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Lost: []string{"a"}})
	h.saw(t, "a1")
}

func TestALetterThatAnotherSettledLateIsPassed(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	tap := &tapped{Store: s, effect: true}
	settles := 0
	tap.tap = func(_ context.Context, call string, _ time.Duration) error {
		if call == "settle" {
			if settles++; settles == 1 {
				return deadletter.ErrNoLetter
			}
		}
		return nil
	}
	h := &handler{}
	redrive(t, tap, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 1})
	h.saw(t, "a1 a2")
}

func TestAChainHasTheTextsFromTheOutermostToTheRoot(t *testing.T) {
	err := fmt.Errorf("outer: %w", errors.Join(fmt.Errorf("one: %w", errPoison), errDown))
	want := []string{err.Error(), "one: poison\nthe store is down", "one: poison", "poison", "the store is down"}
	if got := deadletter.Chain(err); !slices.Equal(got, want) {
		t.Errorf("the chain is %q; want %q", got, want)
	}
	if got := deadletter.Chain(nil); got != nil {
		t.Errorf("the chain of nil is %q", got)
	}
	if got := deadletter.Chain(&endless{}); len(got) != 64 {
		t.Errorf("an endless chain has %d texts; want 64", len(got))
	}
	if got := deadletter.Chain(&endless{quiet: true}); len(got) != 1 {
		t.Errorf("an endless chain of one text is %q", got)
	}
}

// endless wraps itself, and says how often it was asked unless it is quiet.
type endless struct {
	quiet bool
	asked int
}

func (e *endless) Error() string {
	if !e.quiet {
		e.asked++
	}
	return fmt.Sprint("endless ", e.asked)
}

func (e *endless) Unwrap() error { return e }
