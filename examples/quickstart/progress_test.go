package main

import (
	"maps"
	"slices"
	"testing"
	"time"
)

func TestProgressTellsTakeovers(t *testing.T) {
	begun := time.UnixMilli(1_000_000)
	after := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	p := progress{
		tenures: []tenure{
			{stream: "s", shard: "0", owner: "worker-1", at: after(0), applied: 10},
			{stream: "s", shard: "0", owner: "worker-2", at: after(1), applied: 20}, // given up before worker-1 died
			{stream: "s", shard: "1", owner: "worker-1", at: after(0), applied: 30},
			{stream: "s", shard: "1", owner: "worker-2", at: after(15), applied: 40},
			{stream: "s", shard: "1", owner: "worker-3", at: after(20), applied: 1},
			{stream: "s", shard: "2", owner: "worker-1", at: after(0), applied: 50},
			{stream: "t", shard: "shardId-000000000000", box: "kinesis:votes", owner: "worker-3", at: after(30), applied: 60},
			{stream: "u", shard: "shardId-00000001795343112390-41378488", box: "dynamodb:voters", owner: "worker-1", at: after(5), applied: 70},
		},
		deaths: map[string]time.Time{"worker-1": after(4)},
	}
	want := []takeover{
		{shard: "1", from: "worker-1", to: "worker-2", took: 11 * time.Second},
		{shard: "2", from: "worker-1"},
		{shard: "dynamodb/41378488", from: "worker-1"},
	}
	if got := p.takeovers(); !slices.Equal(got, want) {
		t.Errorf("the takeovers are %+v, want %+v", got, want)
	}
	shards, applied := p.held()
	if !slices.Equal(shards["worker-1"], []string{"2", "dynamodb/41378488"}) || !slices.Equal(shards["worker-2"], []string{"0"}) || !slices.Equal(shards["worker-3"], []string{"1", "kinesis/0"}) {
		t.Errorf("the workers have %v", shards)
	}
	if want := (map[string]int{"worker-1": 160, "worker-2": 60, "worker-3": 61}); !maps.Equal(applied, want) {
		t.Errorf("the workers applied %v, want %v", applied, want)
	}
}

// A death whose takeover nobody saw before the program ended says nothing about how long one takes.
func TestForgetDropsDeathsWithoutTakeover(t *testing.T) {
	s := newScene(t, 300)
	for n := 1; n <= 3; n++ {
		if got, err := s.run.hire(t.Context()); err != nil || got != n {
			t.Fatalf("worker %d, %v; want %d", got, err, n)
		}
	}
	s.apply(s.owner(workerName(1), 1), s.batch(1, 1, 100))
	for n := 1; n <= 2; n++ {
		if err := s.run.died(t.Context(), n, time.UnixMilli(int64(n))); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			s.apply(s.owner(workerName(2), 2), s.batch(2, 101, 200))
		}
	}
	if err := s.run.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := s.run.progress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, is := p.deaths["worker-1"]; !is || len(p.deaths) != 1 {
		t.Errorf("the deaths are %v, want that of worker-1 alone", p.deaths)
	}
}
