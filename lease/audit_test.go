package lease_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// audit is a store that looks at every write that is applied, and fails the test when one breaks an invariant of the protocol.
type audit struct {
	t     *testing.T
	store *memlease.Store

	mu     sync.Mutex
	holder map[string]string // by shard and epoch: the session that took it
	// whole says that resets are of all shards: a child is taken when all its parents ended in its own generation.
	whole bool
}

func newAudit(t *testing.T) *audit {
	t.Helper()
	return &audit{t: t, store: memlease.New(), holder: make(map[string]string)}
}

// stored is what the audit reads of any row.
type stored struct {
	Owner      string              `json:"owner"`
	Epoch      uint64              `json:"epoch"`
	Generation uint64              `json:"generation"`
	Position   checkpoint.Position `json:"position"`
	Start      checkpoint.Start    `json:"start"`
	State      string              `json:"state"`
	Parents    []string            `json:"parents"`
	Children   []string            `json:"children"`
	HB         uint64              `json:"hb"`
	Lister     string              `json:"lister"`
	Listed     bool                `json:"listed"`
	Draining   bool                `json:"draining"`
	Next       string              `json:"next"`
	Request    json.RawMessage     `json:"request"`
	Floor      uint64              `json:"floor"`
	Paused     bool                `json:"paused"`
	Reset      json.RawMessage     `json:"reset"`
	version    uint64
}

func (a *audit) Setup(ctx context.Context) error { return a.store.Setup(ctx) }

func (a *audit) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	return a.store.Get(ctx, keys)
}

func (a *audit) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return a.store.List(ctx, group, after)
}

func (a *audit) Put(ctx context.Context, rows []lease.Row) []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := make([]error, len(rows))
	failed := false
	for i, row := range rows {
		before, _ := a.read(ctx, row.Key)
		if err := a.store.Put(ctx, []lease.Row{row}); err != nil {
			errs[i], failed = err[0], true
			continue
		}
		after, _ := a.read(ctx, row.Key)
		switch kind(row.Key) {
		case "S":
			a.shard(ctx, row, before, after)
		case "W":
			a.session(row, before, after)
		}
	}
	if !failed {
		return nil
	}
	return errs
}

func (a *audit) Delete(ctx context.Context, rows []lease.Row) []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, row := range rows {
		before, there := a.read(ctx, row.Key)
		if !there || before.version != row.Version {
			continue
		}
		switch kind(row.Key) {
		case "S":
			a.removed(ctx, row, before)
		case "W":
			if before.State == "D" { // by another: of its own a session may be sure
				a.buried(ctx, row)
			}
		}
	}
	return a.store.Delete(ctx, rows)
}

// removed is a shard's row that goes: it has ended, or nobody ever had it, and its epochs and its children need it no longer.
func (a *audit) removed(ctx context.Context, row lease.Row, before stored) {
	if app, _ := a.read(ctx, "orders/A"); app.Floor < before.Epoch {
		a.broken(row.Key, "removed with epoch %d above the floor, %d", before.Epoch, app.Floor)
	}
	if before.State != "ended" && before.Epoch > 0 {
		a.broken(row.Key, "removed although it has not ended")
	}
	for _, id := range before.Children {
		if c, there := a.read(ctx, siblingKey(row.Key, id)); there && c.State == "open" && c.Position.IsZero() {
			a.broken(row.Key, "removed before its child %s was begun", id)
		}
	}
}

// buried is a session's row that goes: no open shard names it.
func (a *audit) buried(ctx context.Context, row lease.Row) {
	for s, err := range a.store.List(context.WithoutCancel(ctx), "orders/S/one/", "") {
		if r, _ := a.read(ctx, s.Key); err != nil || "W/"+r.Owner == row.Key {
			a.broken(row.Key, "removed although shard %s names it: %v", s.Key, err)
		}
	}
}

// row reads a row as it is now; there is false if it does not exist.
func (a *audit) row(key string) (r stored, there bool) {
	return a.read(context.WithoutCancel(a.t.Context()), key)
}

func (a *audit) read(ctx context.Context, key string) (r stored, there bool) {
	rows, err := a.store.Get(context.WithoutCancel(ctx), []string{key})
	if err != nil {
		a.t.Errorf("audit: %v", err)
	}
	if rows[0].Version == 0 {
		return stored{}, false
	}
	if json.Unmarshal(rows[0].Value, &r) != nil {
		return stored{}, true // a test made it corrupt
	}
	r.version = rows[0].Version
	return r, true
}

// lease is a shard's row now.
func (a *audit) lease(id string) stored {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, _ := a.row("orders/S/one/" + url.PathEscape(id))
	return r
}

func (a *audit) broken(key, format string, args ...any) {
	a.t.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
}

func (a *audit) session(row lease.Row, before, after stored) {
	switch {
	case before.State == "D":
		a.broken(row.Key, "a dead session was written")
	case after.State == "A" && after.HB <= before.HB:
		a.broken(row.Key, "hb went from %d to %d", before.HB, after.HB)
	case after.State == "D" && after.HB != before.HB:
		a.broken(row.Key, "killed with hb %d although it was %d", after.HB, before.HB)
	}
}

func (a *audit) shard(ctx context.Context, row lease.Row, before, after stored) {
	if after.Position.Before(before.Position) && after.Generation == before.Generation {
		a.broken(row.Key, "position went from %s back to %s", before.Position, after.Position)
	}
	reset := after.Generation > before.Generation && before.version > 0 && after.Owner == ""
	if before.State == "ended" && !reset && (after.State != "ended" || string(before.Request) == string(after.Request)) {
		a.broken(row.Key, "written after its end")
	}
	switch {
	case before.Owner != "" && after.Owner == "" && after.Epoch > before.Epoch:
		a.lifted(row, before, after)
	case after.Generation < before.Generation:
		a.broken(row.Key, "generation fell from %d to %d", before.Generation, after.Generation)
	case reset:
		a.reset(ctx, row, before, after)
	case after.Epoch < before.Epoch:
		a.broken(row.Key, "epoch fell from %d to %d", before.Epoch, after.Epoch)
	case after.Epoch > before.Epoch:
		a.taken(ctx, row, before, after)
	case after.Owner != "" && after.Owner != before.Owner:
		a.broken(row.Key, "%s owns it in the epoch %d of %q", after.Owner, after.Epoch, before.Owner)
	}
	if after.State == "ended" && before.State != "ended" {
		a.ended(ctx, row, before, after)
	}
}

// lifted is of a shard whose owner gave it up, and which is as it was but for its epoch and its generation.
func (a *audit) lifted(row lease.Row, before, after stored) {
	if after.State != "open" || before.State != "open" || after.Position != before.Position || after.Generation < before.Generation {
		a.broken(row.Key, "lifted from %+v to %+v", before, after)
	}
}

// reset is of a shard that nobody has, in a new epoch, after its descendants.
func (a *audit) reset(ctx context.Context, row lease.Row, before, after stored) {
	if before.Owner != "" {
		a.broken(row.Key, "reset although %s owns it", before.Owner)
	}
	if after.Epoch <= before.Epoch || after.State != "open" || !after.Position.IsZero() {
		a.broken(row.Key, "reset from epoch %d to %d, %s, at %s", before.Epoch, after.Epoch, after.State, after.Position)
	}
	group := row.Key[:strings.LastIndexByte(row.Key, '/')+1]
	id, _ := url.PathUnescape(strings.TrimPrefix(row.Key, group))
	for child, err := range a.store.List(context.WithoutCancel(ctx), group, "") {
		if c, _ := a.read(ctx, child.Key); err != nil || slices.Contains(c.Parents, id) && c.Generation < after.Generation && c.Epoch > 0 {
			a.broken(row.Key, "reset to generation %d before its child %s, which has %d: %v", after.Generation, child.Key, c.Generation, err)
		}
	}
}

func (a *audit) taken(ctx context.Context, row lease.Row, before, after stored) {
	epoch := fmt.Sprint(row.Key, " ", after.Epoch)
	if other, dup := a.holder[epoch]; dup {
		a.broken(row.Key, "epoch %d was handed out to %s and to %s", after.Epoch, other, after.Owner)
	}
	a.holder[epoch] = after.Owner
	if before.Owner != "" && before.Owner != after.Owner {
		if owner, there := a.read(ctx, "W/"+before.Owner); there && owner.State != "D" {
			a.broken(row.Key, "taken by %s from %s, which lives", after.Owner, before.Owner)
		}
	}
	if taker, there := a.read(ctx, "W/"+after.Owner); there && taker.HB < 2 {
		a.broken(row.Key, "taken by %s before its first heartbeat", after.Owner)
	}
	for _, id := range before.Parents {
		p, there := a.read(ctx, siblingKey(row.Key, id))
		if there && p.State != "ended" {
			a.broken(row.Key, "taken before its parent %s ended", id)
		}
		if there && (p.Generation > after.Generation || a.whole && p.Generation != after.Generation) {
			a.broken(row.Key, "taken in generation %d although its parent %s has %d", after.Generation, id, p.Generation)
		}
		if there && p.Epoch >= after.Epoch {
			a.broken(row.Key, "its epoch %d does not rise above its parent %s's, %d", after.Epoch, id, p.Epoch)
		}
	}
}

func (a *audit) ended(ctx context.Context, row lease.Row, before, after stored) {
	if before.Owner == "" || after.Owner != "" {
		a.broken(row.Key, "ended by %q and left to %q", before.Owner, after.Owner)
	}
	for _, id := range after.Children {
		if _, there := a.read(ctx, siblingKey(row.Key, id)); !there {
			a.broken(row.Key, "ended before its child %s had a row", id)
		}
	}
}

func siblingKey(key, id string) string {
	return key[:strings.LastIndexByte(key, '/')+1] + url.PathEscape(id)
}
