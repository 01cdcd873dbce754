package redisdedup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// fields are those of a seal's hash, in two parts: who may write, and what is stored besides. Low is the sortable form of position, for those who look.
var (
	fence = []string{"epoch", "generation", "session"}
	rest  = []string{"low", "position", "history"}
)

// row is a seal as it is stored.
type row struct {
	marks.Seal
	history string   // of the server's replication, when it was sealed
	raw     []string // the fields, as they are read: "" where there is none
}

// text is the fields of a seal.
func text(s marks.Seal, history string) row {
	return row{s, history, []string{
		strconv.FormatUint(s.Epoch, 10), strconv.FormatUint(s.Generation, 10), s.Session,
		s.Low.Sort(), s.Low.String(), history,
	}}
}

// parse reads a seal.
func parse(raw []string) (r row, err error) {
	r.raw = raw
	if strings.Join(raw, "") == "" {
		return r, nil
	}
	if r.Epoch, err = strconv.ParseUint(raw[0], 10, 64); err == nil && r.Epoch == 0 {
		err = fmt.Errorf("it is 0")
	}
	if err != nil {
		return r, fmt.Errorf("field epoch: %w", err)
	}
	if r.Generation, err = strconv.ParseUint(raw[1], 10, 64); err != nil {
		return r, fmt.Errorf("field generation: %w", err)
	}
	if r.Low, err = checkpoint.Parse(raw[4]); err == nil && r.Low.Sort() != raw[3] {
		err = fmt.Errorf("it is %q, and low is %q", raw[4], raw[3])
	}
	if err != nil {
		return r, fmt.Errorf("field position: %w", err)
	}
	r.Session, r.history = raw[2], raw[5]
	return r, nil
}

// set is the words of the command that stores a seal.
func (r row) set(k shardKeys) []string {
	return append(r.setFence(k), "low", r.raw[3], "position", r.raw[4])
}

// setFence is set without a position, which stays.
func (r row) setFence(k shardKeys) []string {
	return []string{"HSET", k.seal(), "epoch", r.raw[0], "generation", r.raw[1], "session", r.raw[2], "history", r.raw[5]}
}

// mark is what is stored of a lane, "epoch sort position".
type mark struct {
	marks.Done
	raw string // "": there is none
}

func textOf(d marks.Done) mark {
	return mark{d, strconv.FormatUint(d.Epoch, 10) + " " + d.Position.Sort() + " " + d.Position.String()}
}

func parseMark(raw string) (d mark, err error) {
	d.raw = raw
	if raw == "" {
		return d, nil
	}
	parts := strings.Split(raw, " ")
	if len(parts) != 3 {
		return d, fmt.Errorf("%q has %d words; want an epoch and a position twice", raw, len(parts))
	}
	if d.Epoch, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return d, err
	}
	if d.Position, err = checkpoint.Parse(parts[2]); err == nil && d.Position.Sort() != parts[1] {
		err = fmt.Errorf("%q names two positions", raw)
	}
	return d, err
}

// entry is what is stored of a record with PerID, "generation applied" or "generation dead".
const (
	applied = "applied"
	dead    = "dead"
)

func textOfEntry(m dedup.Mark, state string) string {
	return strconv.FormatUint(m.Generation, 10) + " " + state
}

func parseEntry(raw string) (e marks.Entry, err error) {
	if raw == "" {
		return e, nil
	}
	generation, state, _ := strings.Cut(raw, " ")
	if e.Generation, err = strconv.ParseUint(generation, 10, 64); err != nil {
		return e, err
	}
	if state != applied && state != dead {
		return e, fmt.Errorf("%q is neither applied nor dead", raw)
	}
	e.There, e.Dead = true, state == dead
	return e, nil
}
