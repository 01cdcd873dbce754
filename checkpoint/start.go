package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrStart is wrapped by every error about a text that is no start.
var ErrStart = errors.New("not a start")

// StartKind tells the forms of a [Start] apart.
type StartKind uint8

// The forms of a start.
const (
	StartTrimHorizon StartKind = iota // at the oldest record held
	StartLatest                       // after the newest record
	StartAtTime                       // at the first record that arrived at an instant or later
	StartAfter                        // after a position
)

// Start is where the reading of a shard begins. The zero Start is TRIM_HORIZON, the oldest record held. A Start is not a
// place: LATEST means something else at every moment, so it is resolved once, stored, and cannot be checkpointed.
type Start struct {
	kind  StartKind
	at    time.Time
	after Position
}

// Latest begins after the newest record at the moment when it is resolved.
func Latest() Start { return Start{kind: StartLatest} }

// AtTime begins at the first record that arrived at t or later, by the service's clock.
func AtTime(t time.Time) Start { return Start{kind: StartAtTime, at: t.Round(0).UTC()} }

// After begins after p; after the zero Position it is TRIM_HORIZON.
func After(p Position) Start {
	if p.IsZero() {
		return Start{}
	}
	return Start{kind: StartAfter, after: p}
}

// Kind tells the form of s.
func (s Start) Kind() StartKind { return s.kind }

// Time is the instant of a StartAtTime, and zero otherwise.
func (s Start) Time() time.Time { return s.at }

// Position is the position of a StartAfter, and zero otherwise.
func (s Start) Position() Position { return s.after }

const (
	trimHorizonText = "TRIM_HORIZON"
	latestText      = "LATEST"
	atPrefix        = "AT "
	afterPrefix     = "AFTER "
)

// String is the stored form: TRIM_HORIZON, LATEST, "AT " and an instant of RFC 3339, or "AFTER " and a position.
func (s Start) String() string {
	switch s.kind {
	case StartLatest:
		return latestText
	case StartAtTime:
		return atPrefix + s.at.Format(time.RFC3339Nano)
	case StartAfter:
		return afterPrefix + s.after.String()
	default:
		return trimHorizonText
	}
}

// MarshalText gives the stored form of [Start.String].
func (s Start) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the stored form of [Start.String]; the empty text is TRIM_HORIZON. The error wraps [ErrStart].
func (s *Start) UnmarshalText(b []byte) error {
	text := string(b)
	switch {
	case text == "" || text == trimHorizonText:
		*s = Start{}
	case text == latestText:
		*s = Latest()
	case strings.HasPrefix(text, atPrefix):
		t, err := time.Parse(time.RFC3339Nano, text[len(atPrefix):])
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrStart, quote(text), err)
		}
		*s = AtTime(t)
	case strings.HasPrefix(text, afterPrefix):
		p, err := Parse(text[len(afterPrefix):])
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrStart, quote(text), err)
		}
		*s = After(p)
	default:
		return fmt.Errorf("%w: %s, want %s, %s, AT … or AFTER …", ErrStart, quote(text), trimHorizonText, latestText)
	}
	return nil
}
