package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

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
