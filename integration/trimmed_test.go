//go:build engines

package integration

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/localstack"
)

// dilate moves the streams' time on.
func dilate(t *testing.T, d *localstack.DynamoDB, by time.Duration) {
	t.Helper()
	if err := d.Dilate(t.Context(), by); err != nil {
		t.Fatal(err)
	}
}

// awaitGap waits for the event that records are gone.
func (l *local) awaitGap(t *testing.T) consumer.Gap {
	t.Helper()
	eventually(t, func() string { return fmt.Sprintf("no gap was told\n%s", l.events) },
		func() bool { return len(told(l.events, &l.gaps)) > 0 })
	return told(l.events, &l.gaps)[0]
}

// Records are trimmed while nobody consumes. Fail tells of the gap and waits where it is; Skip tells of it and goes on with the oldest record
// held.
func TestTrimmedRecords(t *testing.T) {
	t.Parallel()
	b, d := onTable(t)
	b.put(t, []string{"read"}, 3)
	l := run(t, b.config("before", b.clients))
	b.awaitAll(t)
	l.mustStop(t)
	position := b.rows(t)[0].Position
	tab := b.stream.(*table)
	for n := range 3 {
		if err := tab.put(t.Context(), []item{{"trimmed", n}}); err != nil {
			t.Fatal(err)
		}
	}
	dilate(t, d, 2*time.Hour)
	b.put(t, []string{"held"}, 3)
	dilate(t, d, 23*time.Hour)

	l = run(t, b.config("fails", b.clients))
	gap := l.awaitGap(t)
	if gap.Skipped || !errors.Is(gap.Err, consumer.ErrTrimmed) || gap.After != position {
		t.Errorf("got %+v, want the gap after %s, not skipped", gap, position)
	}
	pause(t, time.Second)
	if l.returned() || len(told(l.events, &l.gaps)) > 1 {
		t.Errorf("Run returned: %v; gaps %+v", l.returned(), told(l.events, &l.gaps))
	}
	l.mustStop(t)
	if row := b.row(t, gap.Shard); row.Position != position || b.log.has(item{"held", 0}) {
		t.Errorf("the shard did not wait at %s: %s", position, row.text)
	}

	cfg := b.config("skips", b.clients)
	cfg.Failure.OnTrimmed = consumer.SkipGap
	l = run(t, cfg)
	if gap := l.awaitGap(t); !gap.Skipped {
		t.Errorf("got %+v, want it skipped", gap)
	}
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
	if slices.ContainsFunc(b.log.all(), func(d delivery) bool { return d.Key == "trimmed" }) {
		t.Error("a record was handled that is gone: nothing was tested")
	}
}

// A whole shard aged out before it was read to its end. Fail waits; Skip goes on with its children.
func TestTrimmedShard(t *testing.T) {
	t.Parallel()
	b, d := onTable(t)
	b.put(t, []string{"read"}, 3)
	l := run(t, b.config("before", b.clients))
	b.awaitAll(t)
	l.mustStop(t)
	old := b.rows(t)[0]
	if err := d.Rollover(t.Context()); err != nil {
		t.Fatal(err)
	}
	dilate(t, d, 49*time.Hour)
	b.put(t, []string{"held"}, 3)

	l = run(t, b.config("fails", b.clients))
	if gap := l.awaitGap(t); gap.Skipped || gap.Shard != old.Shard {
		t.Errorf("got %+v, want a gap in %s, not skipped", gap, old.Shard)
	}
	l.mustStop(t)
	if row := b.row(t, old.Shard); row.Position != old.Position || row.State == "ended" || b.log.has(item{"held", 0}) {
		t.Errorf("the shard did not wait at %s: %s", old.Position, row.text)
	}

	cfg := b.config("skips", b.clients)
	cfg.Failure.OnTrimmed = consumer.SkipGap
	l = run(t, cfg)
	if gap := l.awaitGap(t); !gap.Skipped {
		t.Errorf("got %+v, want it skipped", gap)
	}
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}
