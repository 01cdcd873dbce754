package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// tale is a history that is told step by step, a millisecond each.
type tale struct {
	history
	at    time.Duration
	sizes map[string]int // records of each shard
	keys  map[string]int
	calls map[string]record // by shard and place
	rows  map[string]uint64 // versions
}

func newTale() *tale {
	return &tale{
		history: history{parents: make(map[string][]string), bound: 1, limit: time.Second},
		sizes:   make(map[string]int), keys: make(map[string]int), calls: make(map[string]record), rows: make(map[string]uint64),
	}
}

func (t *tale) tick() time.Duration {
	t.at += time.Millisecond
	return t.at
}

func (t *tale) tell(e event) {
	e.At = t.tick()
	t.events = append(t.events, e)
}

// put adds n records of a key to a shard.
func (t *tale) put(shard, key string, n int) {
	for range n {
		t.keys[key]++
		r := record{At: t.tick(), Key: key, N: t.keys[key], Shard: shard, Position: checkpoint.Offset(uint64(100 + t.sizes[shard]))}
		t.calls[fmt.Sprint(shard, t.sizes[shard])] = r
		t.sizes[shard]++
		t.records = append(t.records, r)
	}
}

func (t *tale) event(k kind, worker, shard string, epoch uint64, place int) event {
	r := t.calls[fmt.Sprint(shard, place)]
	return event{Worker: worker, Kind: k, Shard: shard, Epoch: epoch, Position: r.Position, Key: r.Key, N: r.N, Attempt: 1}
}

// begin begins the record of a place of a shard, and handle does it.
func (t *tale) begin(worker, shard string, epoch uint64, place int) {
	t.tell(t.event(begun, worker, shard, epoch, place))
}

func (t *tale) handle(worker, shard string, epoch uint64, places ...int) {
	for _, place := range places {
		t.begin(worker, shard, epoch, place)
		t.tell(t.event(done, worker, shard, epoch, place))
	}
}

func (t *tale) take(worker, shard string, epoch uint64) {
	t.write(worker, shard, worker+"-session", epoch, 0, "open")
	t.tell(event{Worker: worker, Kind: assigned, Shard: shard, Epoch: epoch})
}

// release gives a shard up cleanly.
func (t *tale) release(worker, shard string, epoch uint64) {
	t.write(worker, shard, "", epoch, 0, "open")
	t.tell(event{Worker: worker, Kind: lost, Shard: shard, Epoch: epoch, Text: "released"})
}

// end reads a shard to its end.
func (t *tale) end(worker, shard string, epoch uint64) {
	t.write(worker, shard, "", epoch, 0, "ended")
	t.tell(event{Worker: worker, Kind: lost, Shard: shard, Epoch: epoch, Text: "ended"})
}

// write writes the next version of a lease. A position of 0 is that of the write before.
func (t *tale) write(worker, shard, owner string, epoch, position uint64, state string) {
	e := t.writing(worker, shard, owner, epoch, position, state)
	t.tell(e)
	e.Kind = answered
	t.tell(e)
}

func (t *tale) writing(worker, shard, owner string, epoch, position uint64, state string) event {
	key := "app/S/stream/" + shard
	t.rows[key]++
	e := event{
		Worker: worker, Kind: sent, Row: key, Shard: shard, Version: t.rows[key], Write: uint64(t.at), Owner: owner, Epoch: epoch, State: state,
	}
	if position > 0 {
		e.Position = checkpoint.Offset(position)
	} else {
		for _, before := range t.events {
			if before.Kind == sent && before.Row == key {
				e.Position = before.Position
			}
		}
	}
	return e
}

// deed does something to a worker for a while.
func (t *tale) deed(kind, worker string, d time.Duration) {
	at := t.tick()
	t.deeds = append(t.deeds, deed{kind, worker, at, at + d})
	t.at += d
}

// want checks that the rules that are violated are these, and that each text has all of the words.
func (t *tale) want(tt *testing.T, rule string, words ...string) {
	tt.Helper()
	found, _ := verify(t.history)
	if rule == "" {
		if len(found) > 0 {
			tt.Fatalf("violated: %v", found)
		}
		return
	}
	if !slices.ContainsFunc(found, func(v violation) bool {
		return v.rule == rule && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(v.text, w) })
	}) {
		tt.Fatalf("found %v, want %q with the words %q", found, rule, words)
	}
	for _, v := range found {
		if v.rule != rule {
			tt.Errorf("found too: %s", v)
		}
	}
}
