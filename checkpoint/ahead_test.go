package checkpoint_test

import (
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
)

func every(from, to, step int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := from; n < to && yield(n); n += step {
		}
	}
}

// done draws rising numbers: sparse, dense, in runs, and some that are too high.
func done(t *rapid.T) []int {
	set := map[int]bool{}
	for range rapid.IntRange(0, 40).Draw(t, "pieces") {
		from := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, checkpoint.MaxAhead+100)).Draw(t, "from")
		step := rapid.IntRange(1, 9).Draw(t, "step")
		for n := range every(from, from+rapid.IntRange(0, 3000).Draw(t, "length"), step) {
			set[n] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func TestAheadHoldsWhatIsDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := done(t)
		first, err := checkpoint.Aggregated("000000000000000000049", 3)
		if err != nil {
			t.Fatal(err)
		}
		a := checkpoint.NewAhead(first, slices.Values(numbers))
		want := slices.DeleteFunc(numbers, func(n int) bool { return n >= checkpoint.MaxAhead })
		if got := slices.Collect(a.All()); !slices.Equal(got, want) || a.Len() != len(want) {
			t.Fatalf("it has %d, %v, want %d, %v", a.Len(), got, len(want), want)
		}
		if a.IsZero() != (len(want) == 0) || !a.IsZero() && a.First() != first {
			t.Fatalf("of %d records: zero %v, first %s", len(want), a.IsZero(), a.First())
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back checkpoint.Ahead
		if err := json.Unmarshal(text, &back); err != nil || back != a {
			t.Fatalf("%s came back from JSON as %s, %v", a, back, err)
		}
		if got := len(a.String()); got > len(first.String())+5464 {
			t.Fatalf("%d characters: %s", got, a)
		}
	})
}

func TestAheadYieldsNoMoreThanAsked(t *testing.T) {
	for _, step := range []int{1, 2} {
		var got []int
		for n := range checkpoint.NewAhead(checkpoint.Offset(1), every(0, 300, step)).All() {
			if got = append(got, n); n >= 100 {
				break
			}
		}
		if last := got[len(got)-1]; last != 100 {
			t.Errorf("with step %d the last number is %d, want 100", step, last)
		}
	}
}

// The stored forms never change: rows hold them.
func TestAheadStoredForms(t *testing.T) {
	aggregated, err := checkpoint.Aggregated("000000000000000000005", 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		first checkpoint.Position
		done  iter.Seq[int]
		text  string
	}{
		{checkpoint.Offset(1), slices.Values([]int(nil)), ""},
		{checkpoint.Offset(1), slices.Values([]int{0}), "1/rAB"},
		{checkpoint.Offset(50), slices.Values([]int{1, 2, 5}), "50/bJg"},
		{checkpoint.Offset(50), every(1, 1001, 1), "50/rBof"},
		{aggregated, every(33, 34, 1), "000000000000000000005:7/rhBB"},
		{checkpoint.Offset(0), every(0, checkpoint.MaxAhead, 1), "0/rAgggB"},
		{checkpoint.Offset(0), every(0, checkpoint.MaxAhead+1, 1), "0/rAgggB"},
		{checkpoint.Offset(0), every(1, 24, 2), "0/bqqqq"},
		{checkpoint.Offset(0), every(checkpoint.MaxAhead-1, checkpoint.MaxAhead, 1), "0/r__fB"},
		{checkpoint.Offset(0), every(checkpoint.MaxAhead, checkpoint.MaxAhead+9, 1), ""},
		{checkpoint.Position{}, every(0, 9, 1), ""},
		{checkpoint.End(), every(0, 9, 1), ""},
	} {
		if got := checkpoint.NewAhead(c.first, c.done); got.String() != c.text {
			t.Errorf("%d records from %s: %q, want %q", got.Len(), c.first, got, c.text)
		}
	}
	whole := checkpoint.NewAhead(checkpoint.Offset(0), every(1, checkpoint.MaxAhead, 2)).String()
	if want := "0/b" + strings.Repeat("qqqq", 1365) + "qg"; whole != want {
		t.Errorf("every other record: %d characters, %.20q…%q, want %d", len(whole), whole, whole[len(whole)-5:], len(want))
	}
}

// One set has one value, whatever form a text gave it.
func TestAheadIsTheSameInEitherForm(t *testing.T) {
	for _, c := range []struct{ text, other string }{
		{"50/rBCCB", "50/bJg"}, {"50/bJgAA", "50/bJg"}, {"1/bAQ", "1/rAB"}, {"1/rgAB", "1/rAB"},
	} {
		a, err := checkpoint.ParseAhead(c.text)
		b, err2 := checkpoint.ParseAhead(c.other)
		if err := errors.Join(err, err2); err != nil || a != b || a.String() != c.other {
			t.Errorf("%q is %q, and %q is %q, %v, want the latter twice", c.text, a, c.other, b, err)
		}
	}
}

func TestAheadRefusesWhatIsNone(t *testing.T) {
	for _, s := range []string{
		"x", "1", "1/", "/rAB", "END/rAB", "1/xAB", "1/r", "1/rA", "1/rABB", "1/rAA", "1/rABAB", "1/rA!", "1/rAg", "1/rBgggB", "1/rAgggC", "1/rAgggg", "1/b", "1/bAA", "1/bA", "1/bAR", "1/b=",
		"1/rAB/", "1x/rAB", "1/b" + strings.Repeat("A", 5462) + "AB",
	} {
		if a, err := checkpoint.ParseAhead(s); !errors.Is(err, checkpoint.ErrAhead) || !a.IsZero() {
			t.Errorf("ParseAhead(%q) = %q, %v, want ErrAhead", s, a, err)
		}
	}
	a := checkpoint.NewAhead(checkpoint.Offset(1), every(0, 9, 1))
	if kept := a; a.UnmarshalText([]byte("x")) == nil || a != kept {
		t.Errorf("a text that is refused leaves %q, want %q", a, kept)
	}
}

func FuzzParseAhead(f *testing.F) {
	for _, s := range []string{"", "1/rAB", "50/bJg", "50/rBof", "000000000000000000005:7/rhBB", "0/rAgggB", "1/rgggggggB", "1/b", "/", "1/bqq\nqq"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := checkpoint.ParseAhead(s)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrAhead) || !a.IsZero() {
				t.Fatalf("ParseAhead(%q) = %q, %v", s, a, err)
			}
			return
		}
		if back, err := checkpoint.ParseAhead(a.String()); err != nil || back != a || len(a.String()) > len(s) {
			t.Fatalf("%q is %q, which is %q, %v", s, a, back, err)
		}
		if again := checkpoint.NewAhead(a.First(), a.All()); again != a || a.IsZero() != (s == "") {
			t.Fatalf("%q names %d records, which make %q", s, a.Len(), again)
		}
	})
}

// A consumer makes one at each checkpoint.
func BenchmarkAhead(b *testing.B) {
	for name, step := range map[string]int{"one in a hundred is left": 100, "every other is left": 2} {
		numbers := make([]int, 0, 10_000)
		for n := range 10_000 {
			if n%step != 0 {
				numbers = append(numbers, n)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				checkpoint.NewAhead(checkpoint.Offset(1), slices.Values(numbers))
			}
		})
	}
}
