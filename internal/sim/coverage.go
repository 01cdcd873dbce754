package sim

import "log/slog"

// Counts is how often each kind of fault and each rare branch came up in a run.
type Counts map[string]int

func (c Counts) add(what string) { c[what]++ }

// heard counts what a line of the log tells.
func (c Counts) heard(r slog.Record) {
	switch r.Message {
	case "lease: not taken":
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "why" {
				c.add("take refused: " + a.Value.String())
			}
			return true
		})
	case "lease: lost":
		c.add("lease lost")
	}
}
