package checkpoint_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
)

// position draws any position: numbers of any length, with leading zeros, inside aggregates, and both sentinels.
func position(t *rapid.T, name string) checkpoint.Position {
	switch rapid.IntRange(0, 9).Draw(t, name+" kind") {
	case 0:
		return checkpoint.Position{}
	case 1:
		return checkpoint.End()
	}
	seq := rapid.StringMatching(`0{0,5}[0-9]{1,60}`).Draw(t, name)
	p, err := checkpoint.Sequence(seq)
	if n := rapid.Uint32Range(0, 3).Draw(t, name+" sub"); n > 0 {
		p, err = checkpoint.Aggregated(seq, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// naive compares as a reader of the definition would: sentinels outside, then numbers, then the place inside the aggregate.
func naive(p, q checkpoint.Position) int {
	class := func(p checkpoint.Position) int {
		switch {
		case p.IsZero():
			return 0
		case p.IsEnd():
			return 2
		}
		return 1
	}
	if c := cmp.Compare(class(p), class(q)); c != 0 || class(p) != 1 {
		return c
	}
	a, _ := new(big.Int).SetString(p.Sequence(), 10)
	b, _ := new(big.Int).SetString(q.Sequence(), 10)
	return cmp.Or(a.Cmp(b), cmp.Compare(p.Aggregated(), q.Aggregated()))
}

func sign(n int) int { return cmp.Compare(n, 0) }

func TestPositionsOrderAsNumbersInEveryForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := position(t, "p"), position(t, "q")
		want := naive(p, q)
		if got := sign(p.Compare(q)); got != want {
			t.Fatalf("(%s).Compare(%s) = %d, want %d", p, q, got, want)
		}
		if got := strings.Compare(p.Sort(), q.Sort()); got != want {
			t.Fatalf("%s has the sort form %s and %s has %s, which compare as %d, want %d", p, p.Sort(), q, q.Sort(), got, want)
		}
	})
}

func TestPositionKeepsTheServicesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := position(t, "p")
		got, err := checkpoint.Parse(p.String())
		if err != nil || got != p {
			t.Fatalf("Parse(%q) = %s, %v", p, got, err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back checkpoint.Position
		if err := json.Unmarshal(b, &back); err != nil || back != p {
			t.Fatalf("%s came back from JSON as %s, %v", p, back, err)
		}
	})
}

// The stored forms never change: rows and sinks hold them.
func TestPositionStoredForms(t *testing.T) {
	aggregated, err := checkpoint.Aggregated("000000000000000000005", 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p          checkpoint.Position
		text, sort string
	}{
		{checkpoint.Position{}, "", "000"},
		{checkpoint.Offset(0), "0", "00100000000000"},
		{checkpoint.Offset(42), "42", "002420000000000"},
		{aggregated, "000000000000000000005:7", "00150000000007"},
		{checkpoint.End(), "END", "999"},
	} {
		if c.p.String() != c.text || c.p.Sort() != c.sort {
			t.Errorf("got %q and %q, want %q and %q", c.p.String(), c.p.Sort(), c.text, c.sort)
		}
	}
}

func TestPositionRefusesWhatIsNone(t *testing.T) {
	for _, s := range []string{
		"12a", "-1", "+1", " 1", "1 ", "1.5", "1e9", "٣", "1:", ":1", "1:0", "1:-1", "1:01", "1:4294967296", "END:1", "end",
		strings.Repeat("9", checkpoint.MaxDigits+1),
	} {
		if p, err := checkpoint.Parse(s); !errors.Is(err, checkpoint.ErrPosition) {
			t.Errorf("Parse(%q) = %q, %v, want ErrPosition", s, p, err)
		}
	}
}

func TestOffsetReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n")
		if got, ok := checkpoint.Offset(n).Offset(); !ok || got != n {
			t.Fatalf("Offset(%d) reads back as %d, %v", n, got, ok)
		}
	})
	if n, ok := checkpoint.End().Offset(); ok {
		t.Errorf("End has the offset %d", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "END", "0", "000000000000000000005", "49590338271490256608559692538361571095921575989136588898:12", "1:", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := checkpoint.Parse(s)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrPosition) || !p.IsZero() {
				t.Fatalf("Parse(%q) = %q, %v", s, p, err)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("Parse(%q) prints %q", s, p)
		}
		if !p.IsEnd() && !p.Before(checkpoint.End()) || p.Before(checkpoint.Position{}) {
			t.Fatalf("%q lies outside of its shard", s)
		}
	})
}

// Each byte counts, wherever it is.
func TestASequenceNumberIsDigitsOnly(t *testing.T) {
	for place := range 20 {
		for c := range 256 {
			seq := []byte("01234567890987654321")
			seq[place] = byte(c)
			_, err := checkpoint.Sequence(string(seq))
			if digit := '0' <= c && c <= '9'; digit != (err == nil) {
				t.Errorf("byte %#x at place %d of %q: %v", c, place, seq, err)
			}
		}
	}
}
