package checkpoint_test

import (
	"errors"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

func TestStartStoredForms(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for _, c := range []struct {
		s    checkpoint.Start
		text string
	}{
		{checkpoint.Start{}, "TRIM_HORIZON"},
		{checkpoint.After(checkpoint.Position{}), "TRIM_HORIZON"},
		{checkpoint.Latest(), "LATEST"},
		{checkpoint.AtTime(time.Date(2026, 1, 2, 4, 5, 6, 70, berlin)), "AT 2026-01-02T03:05:06.00000007Z"},
		{checkpoint.After(checkpoint.Offset(7)), "AFTER 7"},
	} {
		if c.s.String() != c.text {
			t.Errorf("got %q, want %q", c.s, c.text)
		}
		var back checkpoint.Start
		if err := back.UnmarshalText([]byte(c.text)); err != nil || back != c.s {
			t.Errorf("%q comes back as %q, %v", c.text, back, err)
		}
	}
}

func FuzzStart(f *testing.F) {
	for _, s := range []string{"", "TRIM_HORIZON", "LATEST", "AT 2026-01-02T03:05:06Z", "AFTER 7", "AFTER END", "AT ", "AFTER x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again checkpoint.Start
		if err := s.UnmarshalText([]byte(text)); err != nil {
			if !errors.Is(err, checkpoint.ErrStart) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Fatalf("%q prints as %q, which reads as %q, %v", text, s, again, err)
		}
	})
}
