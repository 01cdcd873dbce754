package lease_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// clerk is an operator's way to the store. It fails the test when an operator takes a shard from an owner that is not dead.
type clerk struct{ *audit }

func (c clerk) Put(ctx context.Context, rows []lease.Row) []error {
	c.mu.Lock()
	for _, row := range rows {
		before, _ := c.read(ctx, row.Key)
		var after stored
		if json.Unmarshal(row.Value, &after) != nil || kind(row.Key) != "S" || before.version != row.Version {
			continue
		}
		if before.Owner != "" && after.Owner != before.Owner {
			if owner, there := c.read(ctx, "W/"+before.Owner); there && owner.State != "D" {
				c.broken(row.Key, "an operator took it from %s, which lives", before.Owner)
			}
		}
		if after.Position != before.Position && after.Generation == before.Generation {
			c.broken(row.Key, "an operator moved it from %s to %s", before.Position, after.Position)
		}
	}
	c.mu.Unlock()
	return c.audit.Put(ctx, rows)
}

// operator is one for the fleet's application, with a way to the store that can fail.
func (f *fleet) operator() (lease.Operator, *wire) {
	w := newWire(clerk{f.store}, "operator")
	return lease.Operator{Store: w, App: "orders"}, w
}

// soon is a context for what must be done within a minute.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// describe is what an operator sees now.
func (f *fleet) describe() lease.Application {
	f.t.Helper()
	o, _ := f.operator()
	a, err := o.Describe(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// during has something done and lets time pass until it is, for a minute at most.
func (f *fleet) during(what string, do func(ctx context.Context) error) error {
	f.t.Helper()
	done := make(chan error, 1)
	ctx := soon(f.t)
	go func() { done <- do(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		default:
			f.watch(tick)
		}
	}
}
