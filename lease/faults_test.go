package lease_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// steps of the protocol, by the write that makes them.
var steps = map[string]func(op string, row lease.Row) bool{
	"join":        func(op string, row lease.Row) bool { return op == "put" && kind(row.Key) == "W" && row.Version == 0 },
	"heartbeat":   func(op string, row lease.Row) bool { return op == "put" && kind(row.Key) == "W" && row.Version > 1 },
	"first beat":  func(op string, row lease.Row) bool { return op == "put" && kind(row.Key) == "W" && row.Version == 1 },
	"application": func(_ string, row lease.Row) bool { return kind(row.Key) == "A" && row.Version == 0 },
	"listed":      func(_ string, row lease.Row) bool { return kind(row.Key) == "A" && row.Version > 0 },
	"member":      func(op string, row lease.Row) bool { return op == "put" && kind(row.Key) == "M" },
	"new row":     func(_ string, row lease.Row) bool { return isShard(row, "p") && row.Version == 0 },
	"take":        func(_ string, row lease.Row) bool { return isShard(row, "p") && row.Version == 1 },
	"checkpoint": func(_ string, row lease.Row) bool {
		return isShard(row, "p") && has(row, `"position":"5"`, `"state":"open"`)
	},
	"child":      func(_ string, row lease.Row) bool { return isShard(row, "c") && row.Version == 0 },
	"end":        func(_ string, row lease.Row) bool { return isShard(row, "p") && has(row, `"state":"ended"`) },
	"take child": func(_ string, row lease.Row) bool { return isShard(row, "c") && has(row, `"owner":"worker`) },
	"release": func(_ string, row lease.Row) bool {
		return isShard(row, "c") && row.Version > 1 && has(row, `"owner":""`)
	},
	"leave":  func(op string, row lease.Row) bool { return op == "delete" && kind(row.Key) == "M" },
	"remove": func(op string, row lease.Row) bool { return op == "delete" && kind(row.Key) == "W" },
}

func isShard(row lease.Row, id string) bool {
	return kind(row.Key) == "S" && strings.HasSuffix(row.Key, "/"+id)
}

func has(row lease.Row, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(string(row.Value), part) {
			return false
		}
	}
	return true
}

var faults = map[string]fault{
	"lost answer": lostAnswer, "failed": failed, "conflict although applied": conflicted,
	"late": delayed, "twice": duplicated, "throttled": throttled,
}

// One shard's life – taken, checkpointed, ended with a child, the child taken, checkpointed and released, taken by another worker – with one fault at each
// of its steps. The audit watches every write; in the end everything is as it is without a fault.
func TestHazard17_LostAnswerIsResolvedByReading(t *testing.T) {
	for step, is := range steps {
		for name, f := range faults {
			t.Run(fmt.Sprintf("%s/%s", step, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { aShardsLife(t, is, f) })
			})
		}
	}
}

func aShardsLife(t *testing.T, is func(string, lease.Row) bool, with fault) {
	t.Helper()
	f := newFleet(t, "p")
	defer f.close()
	var fired <-chan struct{}
	f.wiring = func(w *wire) { fired = w.once(with, is) }
	w := f.join()
	f.wiring = nil
	f.until("work on p", func() bool { return w.job("p") != nil })
	if err := w.job("p").checkpoint(5); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	w.wire.land()
	f.stream.add(lease.Shard{ID: "c", Parents: []string{"p"}})
	if err := w.job("p").end(9, lease.Shard{ID: "c", Parents: []string{"p"}}); err != nil {
		t.Fatalf("end: %v", err)
	}
	if p := f.store.lease("p"); p.State != "ended" || p.Position.String() != "9" {
		t.Fatalf("p after its end: %+v", p)
	}
	w.wire.land()
	f.until("work on c", func() bool { return w.job("c") != nil })
	if err := w.job("c").checkpoint(3); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	f.watch(15 * time.Second) // and some heartbeats
	w.stop(nil)
	<-w.done
	w.wire.land()
	select {
	case <-fired:
	default:
		t.Fatal("the fault did not fire")
	}
	second := f.join()
	f.until("work on c by another", func() bool { return second.job("c") != nil })
	if got := second.job("c").Position().String(); got != "3" {
		t.Errorf("c was taken at %q, want 3", got)
	}
	if p, c := f.store.lease("p"), f.store.lease("c"); c.Epoch <= p.Epoch || p.State != "ended" {
		t.Errorf("p %+v, c %+v", p, c)
	}
}
