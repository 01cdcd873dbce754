package filesource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// mark is what the shards held at an instant. All lines that end at their shard's offset or before were there by then; a shard that is not named was not, or
// was empty.
type mark struct {
	At   time.Time        `json:"at"`
	Ends map[string]int64 `json:"ends"`
}

// Pin turns LATEST into the instant of the call. Lines have no time of arrival of their own, so a mark in the directory says where each shard
// was at that instant. Where no mark can be made, since the directory cannot be written to, a shard that grows after the instant is read from its beginning.
func (s *Source) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	if at.Kind() != checkpoint.StartLatest {
		return at, nil
	}
	shards, err := s.listed(ctx, st)
	if err != nil {
		return checkpoint.Start{}, err
	}
	m := mark{Ends: make(map[string]int64, len(shards))}
	for _, sh := range shards {
		end, err := s.tip(sh)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return checkpoint.Start{}, s.errorf("shard %s: find its last line: %w", sh.ID, explain(err))
		}
		if end > 0 {
			m.Ends[sh.ID] = end
		}
	}
	m.At = time.Now().Round(0).UTC() // after the last of the ends: what they cover was there by now
	// Without a mark the files' own times tell what is older, but producers' times do not: a line may be written long after its own time.
	if err := s.dir.add(m); err != nil && (!unwritable(err) || s.cfg.TimeField != "") {
		return checkpoint.Start{}, s.errorf("mark where LATEST is: let this process write to the directory, or start at a time: %w", err)
	}
	return checkpoint.AtTime(m.At), nil
}

// tip is where the last whole line of a shard ends.
func (s *Source) tip(sh consumer.Shard) (int64, error) {
	f, err := os.Open(s.dir.lines(sh.ID))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was read only
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return lastLine(f, info.Size(), sh.Closed)
}

// add appends a mark to those that the directory has. It begins a line of its own, by the same write: a full disk may have cut short the mark before it.
func (d directory) add(m mark) (err error) {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.path(marksFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(slices.Concat([]byte("\n"), line, []byte("\n")))
	return err
}

// marks calls f with every mark that can be read. One that was cut short by a crash is as if it had not been made: a start that it is for is
// found by an older mark, or by none, which is earlier.
func (d directory) marks(f func(m mark)) error {
	b, err := os.ReadFile(d.path(marksFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b) {
		var m mark
		if json.Unmarshal(line, &m) == nil {
			f(m)
		}
	}
	return nil
}

// before is the newest mark that is not after t, the first of them if there are several. Without any it is the zero mark.
func (d directory) before(t time.Time) (mark, error) {
	var best mark
	err := d.marks(func(m mark) {
		if !m.At.After(t) && m.At.After(best.At) {
			best = m
		}
	})
	if err != nil {
		return mark{}, fmt.Errorf("read the marks: %w", err)
	}
	return best, nil
}
