//go:build engines

package integration

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/redisletters"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
	"github.com/runnelhq/runnel/localstack"
)

// lettersIn are the stores of letters that several processes can share: each gives the address of an empty one, for [openLetters].
var lettersIn = map[string]func(t *testing.T) string{
	"SQLite": func(t *testing.T) string {
		return "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "letters.db")) + "?_pragma=busy_timeout(5000)"
	},
	"PostgreSQL": func(t *testing.T) string {
		p, err := localstack.StartPostgres(t.Context(), localstack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, p.Close)
		return p.URL
	},
	"Redis": func(t *testing.T) string {
		r, err := localstack.StartRedis(t.Context(), localstack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, r.Close)
		return r.URL
	},
}

func closeAtEnd(t *testing.T, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// openLetters opens the store of letters at an address.
func openLetters(address string) (_ deadletter.Store, release func(), err error) {
	scheme, _, _ := strings.Cut(address, ":")
	if scheme == "redis" {
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, nil, err
		}
		o.ContextTimeoutEnabled = true
		client := redis.NewClient(o)
		return redisletters.New(client, nil), func() { _ = client.Close() }, nil
	}
	driver, cfg := "sqlite", &sqlletters.Config{}
	if scheme == "postgres" {
		driver, cfg.Dialect = "pgx", sqlletters.PostgreSQL
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, nil, err
	}
	return sqlletters.New(db, cfg), func() { _ = db.Close() }, nil
}

// hesitant is a store that takes its time before it stores what was given up, and before it says so: a worker may be killed in either. With a file it waits until that is there, in one of the two.
type hesitant struct {
	deadletter.Store
	wait time.Duration
	file string
	late bool // once the letter is stored
}

func (h hesitant) Put(ctx context.Context, ls []deadletter.Letter) error {
	return h.slowly(ctx, ls, func() error { return h.Store.Put(ctx, ls) })
}

func (h hesitant) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	return h.slowly(ctx, ls, func() error { return h.Store.Park(ctx, ls, open) })
}

func (h hesitant) slowly(ctx context.Context, ls []deadletter.Letter, store func() error) error {
	if ls[0].Reason == deadletter.Followed {
		return store()
	}
	if err := h.pause(ctx, false); err != nil {
		return err
	}
	if err := store(); err != nil {
		return err
	}
	return h.pause(ctx, true)
}

func (h hesitant) pause(ctx context.Context, stored bool) error {
	for h.file != "" && h.late == stored {
		if _, err := os.Stat(h.file); err == nil {
			break
		}
		if err := after(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return after(ctx, h.wait)
}

// redrive hands letters to the handler until there are none, or until ctx ends. Keys that another redrive has are left to it.
func redrive(ctx context.Context, cfg consumer.Config) error {
	c, err := consumer.New(cfg)
	if err != nil {
		return err
	}
	if _, err = c.Redrive(ctx, deadletter.Query{}); ctx.Err() != nil {
		return nil
	}
	return err
}

// archive is the letters of a bench, as the test sees them.
type archive struct {
	bench   *bench
	address string // for the workers
	store   deadletter.Store
	scope   deadletter.Scope
}

func newArchive(t *testing.T, b *bench, in string) *archive {
	t.Helper()
	a := &archive{bench: b, address: lettersIn[in](t)}
	store, release, err := openLetters(a.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	if err := store.(interface {
		Setup(ctx context.Context) error
	}).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := b.source(b.clients).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.store, a.scope = store, deadletter.Scope{App: b.app, Stream: st.Incarnation}
	return a
}

// letter is one as the tests want it.
type letter struct {
	deadletter.Letter
	item item
}

// read are all letters, by key and in their order.
func (a *archive) read(ctx context.Context) ([]letter, error) {
	var all []letter
	for l, err := range a.store.Read(ctx, deadletter.Query{Scope: a.scope}) {
		if err != nil {
			return nil, fmt.Errorf("read the letters: %w", err)
		}
		r := consumer.Record{Stream: l.Stream, Shard: l.Shard, Key: l.Key, Position: l.Position, Data: l.Payload}
		codec, has := a.bench.source(a.bench.clients).(consumer.Codec)
		if has != l.Encoded {
			return nil, fmt.Errorf("letter %s: by a codec is %t, want %t", l.ID(), l.Encoded, has)
		}
		if has {
			if err := codec.Decode(l.Payload, &r); err != nil {
				return nil, err
			}
		}
		it, err := a.bench.stream.read(r)
		if err != nil {
			return nil, err
		}
		all = append(all, letter{l, it})
	}
	return all, nil
}

func (a *archive) all(t *testing.T) []letter {
	t.Helper()
	all, err := a.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// items are those of the letters of a key of the test's, in their order.
func (a *archive) items(t *testing.T, key string) []item {
	t.Helper()
	var items []item
	for _, l := range a.all(t) {
		if l.item.Key == key {
			items = append(items, l.item)
		}
	}
	return items
}

// unsettled are the items that were put, and that neither were handled nor have letters.
func (a *archive) unsettled(ctx context.Context) ([]item, error) {
	missing := a.bench.missing()
	all, err := a.read(ctx)
	for _, l := range all {
		missing = slices.DeleteFunc(missing, func(it item) bool { return it == l.item })
	}
	return missing, err
}

// putting is that of the bench: what has a letter does not wait to be handled.
func (a *archive) putting(t *testing.T, keys []string, wait time.Duration) (stop func()) {
	t.Helper()
	return a.bench.puttingBehind(t, keys, wait, a.unsettled)
}

// awaitSettled waits until everything that was put was handled or has a letter.
func (a *archive) awaitSettled(t *testing.T) {
	t.Helper()
	var left []item
	eventually(t, func() string { return fmt.Sprintf("neither handled nor in the letters: %v\n%s", left, a.bench.log) }, func() bool {
		var err error
		if left, err = a.unsettled(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
}

// parked are the keys that are, as Order has them.
func (a *archive) parked(t *testing.T) []string {
	t.Helper()
	var keys []string
	for p, err := range a.store.Parked(t.Context(), a.scope) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, p.Key)
	}
	return keys
}

// watch looks again and again, until it is stopped or the test ends, that no shard's position passes a record that was refused unless its letter is stored.
func (a *archive) watch(t *testing.T, c *crew) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for after(ctx, 100*time.Millisecond) == nil {
			if err := a.behind(context.WithoutCancel(ctx), c); err != nil {
				t.Error(err)
				return
			}
		}
	})
	stop = func() {
		cancel()
		watching.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// behind is an error if a position is not behind a record that was refused and has no letter. What is known is read in the order in which it must have been written, the last first.
func (a *archive) behind(ctx context.Context, c *crew) error {
	refused := c.refused()
	rows, err := a.bench.scan(ctx)
	if err != nil {
		return fmt.Errorf("read the leases: %w", err)
	}
	letters, err := a.read(ctx)
	if err != nil {
		return err
	}
	stored := make(map[item]bool)
	for _, l := range letters {
		stored[l.item] = true
	}
	for _, d := range refused {
		for _, r := range rows {
			if r.Shard == d.Shard && r.Position.Sort() >= d.Position && !stored[d.item()] {
				return fmt.Errorf("the position of %+v is passed, and it has no letter: %s", d, r.text)
			}
		}
	}
	return nil
}
