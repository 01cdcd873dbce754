//go:build engines

package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// local is a consumer in this process.
type local struct {
	*events
	consumer *consumer.Consumer
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // after done
}

// run starts a consumer and stops it when the test ends, if nobody did before.
func run(t *testing.T, cfg consumer.Config) *local {
	t.Helper()
	l := &local{events: &events{}, done: make(chan struct{})}
	cfg.Hooks = consumer.JoinHooks(l.hooks(), cfg.Hooks)
	c, err := consumer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.consumer = c
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l.cancel = cancel
	go func() {
		defer close(l.done)
		l.err = c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-l.done
		if t.Failed() {
			t.Logf("%s: Run returned %v\n%s", cfg.Worker, l.err, l.events)
		}
	})
	return l
}

// stop ends the consumer and is what Run returned.
func (l *local) stop() error {
	l.cancel()
	<-l.done
	return l.err
}

// mustStop ends the consumer, which must be clean.
func (l *local) mustStop(t *testing.T) {
	t.Helper()
	if err := l.stop(); err != nil {
		t.Fatalf("Run returned %v", err)
	}
}

// returns waits until Run has returned on its own, and is what it returned.
func (l *local) returns(t *testing.T) error {
	t.Helper()
	eventually(t, says("Run has not returned"), func() bool {
		select {
		case <-l.done:
			return true
		default:
			return false
		}
	})
	return l.err
}

// returned tells whether Run has.
func (l *local) returned() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// events are what the hooks of a consumer were told.
type events struct {
	mu           sync.Mutex
	assigned     []consumer.Assigned
	lost         []consumer.Lost
	retried      []consumer.Retried
	checkpointed []consumer.Checkpointed
	gaps         []consumer.Gap
	failed       []consumer.Failed
}

func (e *events) hooks() consumer.Hooks {
	return consumer.Hooks{
		Assigned:     keep(e, &e.assigned),
		Lost:         keep(e, &e.lost),
		Retried:      keep(e, &e.retried),
		Checkpointed: keep(e, &e.checkpointed),
		Gap:          keep(e, &e.gaps),
		Error:        keep(e, &e.failed),
	}
}

// keep appends what a hook is told.
func keep[E any](e *events, to *[]E) func(E) {
	return func(event E) {
		e.mu.Lock()
		defer e.mu.Unlock()
		*to = append(*to, event)
	}
}

// told is a copy of what was kept so far.
func told[E any](e *events, from *[]E) []E {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(*from)
}

// some tells whether an event is as ok wants it.
func some[E any](e *events, from *[]E, ok func(E) bool) bool {
	return slices.ContainsFunc(told(e, from), ok)
}

// awaitAssigned waits until n shards were assigned.
func (l *local) awaitAssigned(t *testing.T, n int) []consumer.Assigned {
	t.Helper()
	eventually(t, func() string {
		return fmt.Sprintf("%d shards were assigned, want %d", len(told(l.events, &l.assigned)), n)
	},
		func() bool { return len(told(l.events, &l.assigned)) >= n })
	return told(l.events, &l.assigned)
}

// String has the last troubles.
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := fmt.Sprintf("assigned %v\nlost %v\n", e.assigned, e.lost)
	for _, f := range e.failed[max(0, len(e.failed)-8):] {
		text += fmt.Sprintf("failed: shard %q: %v\n", f.Shard, f.Err)
	}
	for _, r := range e.retried[max(0, len(e.retried)-3):] {
		text += fmt.Sprintf("retried: %+v\n", r)
	}
	return text
}

// after waits for d, or gives the cause of ctx's end.
func after(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
