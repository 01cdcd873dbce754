package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
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
	case string(refuse), string(swallow), string(lose), string(delay), string(throttle), deedHold:
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
	d := deed{Kind: kind, Worker: worker, From: from, To: clock()}
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
		if d.cuts() && d.Kind != string(throttle) {
			n["cut"]++
		}
	}
	return n
}

// untouched is how many workers are left in peace at any time.
const untouched = 2

var errNobody = errors.New("there is no worker left to torment")

// pick chooses a worker to which nothing is being done, and keeps others from it until release is called.
func (t *tormentor) pick(ctx context.Context, r *rand.Rand) (w *worker, release func(), err error) {
	for range 150 {
		if w := t.choose(r); w != nil {
			return w, func() {
				t.crew.mu.Lock()
				defer t.crew.mu.Unlock()
				w.busy = false
			}, nil
		}
		if err := backoff.Wait(ctx, 200*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errNobody
}

func (t *tormentor) choose(r *rand.Rand) *worker {
	all := t.crew.running()
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	free := slices.DeleteFunc(all, func(w *worker) bool { return w.busy })
	if len(free) <= untouched {
		return nil
	}
	w := free[r.IntN(len(free))]
	w.busy = true
	return w
}

func (t *tormentor) kill(w *worker) error {
	at, err := t.crew.kill(w)
	if err == nil {
		t.did(deedKill, w.name, at, "")
	}
	return err
}

func (t *tormentor) join(ctx context.Context) error {
	from := clock()
	w, err := t.crew.hire(ctx)
	if err == nil {
		t.did(deedJoin, w.name, from, "")
	}
	return err
}

// leave has a worker stop. Whether it did so cleanly is for [ledger.checkProcesses] to say.
func (t *tormentor) leave(w *worker) {
	from, text := clock(), "cleanly"
	if err := t.crew.terminate(w); err != nil {
		text = err.Error()
	}
	t.did(deedLeave, w.name, from, text)
}

func (t *tormentor) stop(ctx context.Context, w *worker, d time.Duration) error {
	from := clock()
	err := t.crew.freeze(ctx, w, d)
	t.did(deedStop, w.name, from, fmt.Sprintf("for %v", d))
	return err
}

// cut takes the store from a worker, or from all if it is nil, for a while.
func (t *tormentor) cut(ctx context.Context, w *worker, m mode, d time.Duration) {
	from, name, all := clock(), "", t.crew.running()
	if w != nil {
		name, all = w.name, []*worker{w}
	}
	for _, w := range all {
		w.proxy.set(m)
	}
	_ = backoff.Wait(ctx, d)
	hits := 0
	for _, w := range all {
		w.proxy.set(pass)
		hits += w.proxy.count(m)
	}
	t.did(string(m), name, from, fmt.Sprintf("for %v, %d so far", d, hits))
}

// hold keeps everybody from writing to the store for a while.
func (t *tormentor) hold(ctx context.Context, d time.Duration) error {
	from := clock()
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
	from, how, do := clock(), "split", t.stream.split
	if merge {
		how, do = "merge", t.stream.merge
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
