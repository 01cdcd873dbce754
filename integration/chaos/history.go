package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// history is all that is known of a run.
type history struct {
	records []record            // that were put
	parents map[string][]string // of every shard
	events  []event
	deeds   []deed        // what was done to the workers
	bound   int           // records that may be repeated when a shard changes hands and was not given up cleanly
	limit   time.Duration // from the end of a worker to the next owner's first record; 0: it is not checked
}

// deed is what was done to a worker, or to all of them.
type deed struct {
	Kind     string
	Worker   string // "": all
	From, To time.Duration
}

// disturbs tells whether others may be late because of it.
func (d deed) disturbs() bool { return d.Kind != deedJoin && d.Kind != deedReshard }

// tenure is a worker's time with a shard.
type tenure struct {
	shard    string
	epoch    uint64
	worker   string
	assigned time.Duration // 0: it was not told
	calls    []call
	clean    bool          // it was given up with its last position, or read to its end
	over     time.Duration // when that, or its loss, was told; 0: it was not
}

func (t *tenure) String() string {
	return fmt.Sprintf("shard %s, epoch %d of %s", t.shard, t.epoch, t.worker)
}

// call is one of the handler, with one record.
type call struct {
	record  record
	place   int // of the record in its shard, from 0; -1: nobody put it
	attempt int
	begun   time.Duration
	done    time.Duration // 0: the worker did not come so far
}

// violation is a promise that was not kept.
type violation struct {
	rule string
	text string
}

func (v violation) String() string { return v.rule + ": " + v.text }

// ledger is a history in the order in which it is looked at.
type ledger struct {
	history

	shards  map[string][]record  // what was put into each, in order
	tenures map[string][]*tenure // of each shard, by epoch
	freezes map[string][]event   // of each worker

	violations []violation
	found      findings
}

// findings are the figures of a run.
type findings struct {
	delivered int
	repeats   int             // deliveries of what had been delivered
	most      int             // repeats of one change of owner at most
	late      int             // calls that a frozen process began after its successor
	fenced    int             // writes of a former owner that the store refused
	takeovers []time.Duration // of shards of killed workers, where nothing else disturbed
	disturbed int             // takeovers, where something did
}

func newLedger(h history) *ledger {
	l := &ledger{history: h, shards: make(map[string][]record), tenures: make(map[string][]*tenure), freezes: make(map[string][]event)}
	l.events = slices.Clone(h.events)
	slices.SortStableFunc(l.events, func(a, b event) int { return cmp.Compare(a.At, b.At) })
	for _, r := range h.records {
		l.shards[r.Shard] = append(l.shards[r.Shard], r)
	}
	places := make(map[string]map[checkpoint.Position]int)
	for id, list := range l.shards {
		slices.SortFunc(list, func(a, b record) int { return a.Position.Compare(b.Position) })
		places[id] = make(map[checkpoint.Position]int)
		for i, r := range list {
			places[id][r.Position] = i
		}
	}
	l.gather(places)
	return l
}

// gather makes tenures of events.
func (l *ledger) gather(places map[string]map[checkpoint.Position]int) {
	type owned struct {
		shard, worker string
		epoch         uint64
	}
	all := make(map[owned]*tenure)
	of := func(e event) *tenure {
		o := owned{e.Shard, e.Worker, e.Epoch}
		if all[o] == nil {
			all[o] = &tenure{shard: e.Shard, epoch: e.Epoch, worker: e.Worker}
			l.tenures[e.Shard] = append(l.tenures[e.Shard], all[o])
		}
		return all[o]
	}
	for _, e := range l.events {
		switch e.Kind {
		case assigned:
			of(e).assigned = e.At
		case lost:
			t := of(e)
			t.over, t.clean = e.At, !e.Failed
		case begun:
			t := of(e)
			place, known := places[e.Shard][e.Position]
			if !known {
				place = -1
			}
			t.calls = append(t.calls, call{
				record: record{Key: e.Key, N: e.N, Shard: e.Shard, Position: e.Position}, place: place, attempt: e.Attempt, begun: e.At,
			})
		case done:
			t := of(e)
			if n := len(t.calls); n > 0 && t.calls[n-1].record.Position == e.Position {
				t.calls[n-1].done = e.At
			}
		case frozen:
			l.freezes[e.Worker] = append(l.freezes[e.Worker], e)
		}
	}
	for _, list := range l.tenures {
		slices.SortStableFunc(list, func(a, b *tenure) int { return cmp.Compare(a.epoch, b.epoch) })
		for _, t := range list {
			l.found.delivered += len(t.calls)
		}
	}
}

func (l *ledger) violated(rule, format string, args ...any) {
	l.violations = append(l.violations, violation{rule, fmt.Sprintf(format, args...)})
}

// ids are the shards of which anything is known, in their order.
func (l *ledger) ids() []string {
	var ids []string
	for id := range l.tenures {
		ids = append(ids, id)
	}
	for id := range l.shards {
		if l.tenures[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}
