package lease_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
)

func TestEveryFaultOfAConfigIsNamedWithItsFix(t *testing.T) {
	_, err := lease.NewCoordinator(lease.Config{
		App: " orders ", Worker: "w\xff", Zone: "z\xff", Timing: lease.Timing{Heartbeat: -1, List: -time.Second},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"Store is missing: give", "App is \" orders \": remove", "Stream is missing: name", "Shards is missing: give", "Pin is missing: give",
		"Gone is missing: give", "Work is missing: give", "Worker is \"w\\xff\"", "Zone is \"z\\xff\"", "Timing.Heartbeat is -1ns: give", "Timing.List is -1s: give",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestTimingsThatBreakTheArgumentAreRefused(t *testing.T) {
	s := newStream()
	for name, c := range map[string]struct {
		timing lease.Timing
		want   string // "": accepted
	}{
		"the defaults":                         {lease.Timing{}, ""},
		"one slow request loses every shard":   {lease.Timing{Heartbeat: 3 * time.Second}, "2·Heartbeat + Request is 8s"},
		"a request as long as the validity":    {lease.Timing{Request: 4 * time.Second}, "2·Heartbeat + Request is 8s"},
		"an expiry that only the poll is for":  {lease.Timing{Expiry: 20 * time.Second, Poll: 10 * time.Second}, ""},
		"a poll of more than half the expiry":  {lease.Timing{Poll: 5*time.Second + 1}, "Timing.Poll is 5.000000001s"},
		"an expiry too short for the defaults": {lease.Timing{Expiry: 3 * time.Second}, "Timing.Poll is 2s"},
		"a request that may last for ever":     {lease.Timing{Request: -1}, "Timing.Request is -1ns"},
		"an expiry of days":                    {lease.Timing{Expiry: 48 * time.Hour}, "Timing.Expiry is 48h0m0s"},
		"a delay below zero":                   {lease.Timing{Settle: -1}, "Timing.Settle is -1ns"},
	} {
		_, err := lease.NewCoordinator(lease.Config{
			Store: newAudit(t), App: "a", Stream: "s", Shards: s.list, Pin: s.pin, Gone: s.gone,
			Work:   func(context.Context, *lease.Lease) <-chan struct{} { return nil },
			Timing: c.timing,
		})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v, want it accepted", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
