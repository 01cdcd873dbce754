package main

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// heard is what is said while f runs.
func heard(t *testing.T, f func()) []event {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = out
	f()
	os.Stdout = stdout
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	var events []event
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func TestWritesAreTold(t *testing.T) {
	s := &watchedStore{Store: memlease.New(), worker: "w1"}
	rows := []lease.Row{
		{Key: "app/S/arn%2Fof/shard-1", Value: []byte(`{"owner":"me","epoch":3,"position":"17","state":"open"}`)},
		{Key: "app/A", Value: []byte(`{"lister":"me"}`)},
		{Key: "W/me", Value: []byte(`{}`)},
		{Key: "app/S/arn%2Fof/shard-2", Version: 5, Value: []byte(`{"owner":"me","epoch":1}`)},
	}
	events := heard(t, func() { s.Put(t.Context(), rows) })
	if len(events) != 6 {
		t.Fatalf("told %+v, want what was sent and answered of 3 rows", events)
	}
	first := events[0]
	if first.Kind != sent || first.Worker != "w1" || first.Shard != "shard-1" || first.Version != 1 || first.Owner != "me" || first.Epoch != 3 ||
		first.Position != checkpoint.Offset(17) || first.State != "open" {
		t.Errorf("told %+v", first)
	}
	if events[1].Owner != "me" || events[1].Row != "app/A" {
		t.Errorf("told %+v of the application", events[1])
	}
	for i, want := range []bool{true, true, false} {
		e := events[3+i]
		if e.Kind != answered || (e.Text == "") != want || e.Write != events[i].Write {
			t.Errorf("told %+v of the answer, want that it was written: %t", e, want)
		}
	}
}

func TestSecondPathWritesWhatIsOld(t *testing.T) {
	s := &secondPathStore{watchedStore: &watchedStore{Store: memlease.New()}}
	const key = "app/S/arn/shard"
	events := heard(t, func() {
		for v := range uint64(every) {
			s.Put(t.Context(), []lease.Row{{Key: key, Version: v, Value: []byte(`{"owner":"me","epoch":1,"position":"` + string('0'+rune(v%10)) + `"}`)}})
		}
	})
	rows, err := s.Get(t.Context(), []string{key})
	if err != nil || rows[0].Version != every+1 || len(events) != 2*every {
		t.Errorf("version %d after %d events, %v: want one write of which nobody told", rows[0].Version, len(events), err)
	}
}
