package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
)

// The kinds of [deed]s, beside the modes of a proxy.
const (
	deedKill    = "kill"
	deedStop    = "stop"
	deedJoin    = "join"
	deedLeave   = "leave"
	deedReshard = "reshard"
	deedHold    = "hold" // a lock of the store keeps everybody from writing
)

// cuts tells whether a worker was without its store.
func (d deed) cuts() bool {
	switch d.Kind {
	case string(torment.Refuse), string(torment.Swallow), string(torment.Lose), string(torment.Delay), string(torment.Throttle), deedHold:
		return true
	}
	return false
}

// tormentor does things to a crew, and writes down what.
type tormentor struct {
	crew   *crew
	stream *stream
	log    io.Writer
	began  time.Duration

	mu    sync.Mutex
	deeds []deed
}

// did writes down what was done, from an instant until now.
func (t *tormentor) did(kind, worker string, from time.Duration, what string) {
	d := deed{Kind: kind, Worker: worker, From: from, To: torment.Clock()}
	if kind == deedKill {
		d.To = from
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deeds = append(t.deeds, d)
	fmt.Fprintf(t.log, "  %5.1f s  %-9s %s\n", (d.From - t.began).Seconds(), kind, strings.TrimSpace(worker+" "+what))
}

// counts are how many deeds there were of each kind.
func (t *tormentor) counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := make(map[string]int)
	for _, d := range t.deeds {
		n[d.Kind]++
		if d.cuts() && d.Kind != string(torment.Throttle) {
			n["cut"]++
		}
	}
	return n
}

func (t *tormentor) kill(w *worker) error {
	at, err := w.Kill()
	if err == nil {
		t.did(deedKill, w.Name, at, "")
	}
	return err
}

func (t *tormentor) join(ctx context.Context) error {
	from := torment.Clock()
	w, err := t.crew.hire(ctx)
	if err == nil {
		t.did(deedJoin, w.Name, from, "")
	}
	return err
}

// leave has a worker stop. Whether it did so cleanly is for [ledger.checkProcesses] to say.
func (t *tormentor) leave(w *worker) {
	from, text := torment.Clock(), "cleanly"
	if err := w.Terminate(); err != nil {
		text = err.Error()
	}
	t.did(deedLeave, w.Name, from, text)
}

func (t *tormentor) stop(ctx context.Context, w *worker, d time.Duration) error {
	from := torment.Clock()
	err := w.Freeze(ctx, d)
	t.did(deedStop, w.Name, from, fmt.Sprintf("for %v", d))
	return err
}

// cut takes the store from a worker, or from all if it is nil, for a while.
func (t *tormentor) cut(ctx context.Context, w *worker, m torment.Mode, d time.Duration) {
	from, name, all := torment.Clock(), "", t.crew.Running()
	if w != nil {
		name, all = w.Name, []*worker{w}
	}
	for _, w := range all {
		w.Proxy.Set(m)
	}
	_ = backoff.Wait(ctx, d)
	hits := 0
	for _, w := range all {
		w.Proxy.Set(torment.Pass)
		hits += w.Proxy.Count(m)
	}
	t.did(string(m), name, from, fmt.Sprintf("for %v, %d so far", d, hits))
}

// hold keeps everybody from writing to the store for a while.
func (t *tormentor) hold(ctx context.Context, d time.Duration) error {
	from := torment.Clock()
	release, err := t.crew.storage.hold(ctx)
	if err != nil {
		return err
	}
	_ = backoff.Wait(ctx, d)
	err = release()
	t.did(deedHold, "", from, fmt.Sprintf("for %v", d))
	return err
}

func (t *tormentor) reshard(ctx context.Context, merge bool) error {
	from, how, do := torment.Clock(), "split", t.stream.Split
	if merge {
		how, do = "merge", t.stream.Merge
	}
	which, err := do(ctx)
	if err != nil {
		return fmt.Errorf("%s shard %s: %w", how, which, err)
	}
	t.did(deedReshard, "", from, how+" "+which)
	return nil
}

// describe is the counts of deeds, for a line of the log.
func describe(counts map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(parts, ", ")
}
