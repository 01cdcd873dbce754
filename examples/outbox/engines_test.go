//go:build engines

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
	"github.com/runnelhq/runnel/lease/memlease"
	"github.com/runnelhq/runnel/localstack"
)

// server is the PostgreSQL that tests share, each in a schema of its own.
var server = sync.OnceValues(func() (*localstack.Postgres, error) {
	p, err := localstack.StartPostgres(context.Background(), localstack.Options{})
	if err == nil {
		atEnd = append(atEnd, p.Close)
	}
	return p, err
})

// The program goes as its documents say, and leaves nothing behind.
func TestOutbox(t *testing.T) {
	p, err := server()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-postgres", p.URL)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := string(out)
	for _, want := range []string{
		`20 orders are placed, and worker 1 opens\n`,
		`order 7 is charged, and worker 1 has not heard of it: killed \(process \d+\) with SIGKILL\n`,
		`10 more orders are placed, and worker 2 opens\n`,
		`\nchecked: 30 orders have one intent each, and each is completed\n`,
		`checked: the provider was asked 3[1-9] times, for order 7 and \d others more than once, always with the same key\n`,
		`checked: each order was charged once\n$`,
	} {
		at := regexp.MustCompile(want).FindStringIndex(said)
		if at == nil {
			t.Fatalf("it does not say %q there:\n%s", want, out)
		}
		said = said[at[1]:]
	}
	var left int
	if err := open(t, p.URL).QueryRowContext(ctx, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outbox\_%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d schemas are left (%v)", left, err)
	}
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// torn is a sink whose first transactions fail when all is done but the commit.
type torn struct {
	*sqldedup.Sink

	fails atomic.Int32
}

func (s *torn) Apply(ctx context.Context, ms []dedup.Mark, f func(*sql.Tx, []int) error) error {
	return s.Sink.Apply(ctx, ms, func(tx *sql.Tx, fresh []int) error {
		if err := f(tx, fresh); err != nil {
			return err
		}
		if s.fails.Add(-1) >= 0 {
			return errors.New("torn")
		}
		return nil
	})
}

// An intent stands or falls with the mark of its record, and comes once although records come again: after a transaction that fell, and for a consumer whose leases are forgotten.
func TestIntentGoesWithItsMark(t *testing.T) {
	p, err := server()
	if err != nil {
		t.Fatal(err)
	}
	s := &story{
		out: io.Discard, db: open(t, p.URL), provider: newProvider(0),
		options: options{postgres: p.URL, schema: "test_" + strings.ToLower(rand.Text()[:8]), dir: t.TempDir()},
	}
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	jobs, err := newJobs(s.db, s.schema, &charger{client: &http.Client{}}) // it is not started: the intents wait
	if err != nil {
		t.Fatal(err)
	}
	source := memsource.New("orders", nil)
	for round, fails := range []int32{2, 0} {
		for range 5 {
			s.placed++
			line, err := json.Marshal(order{Number: s.placed})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := source.Put("", line); err != nil {
				t.Fatal(err)
			}
		}
		sink := &torn{Sink: sqldedup.New(s.db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: s.schema + ".runnel_marks"})}
		sink.fails.Store(fails)
		s.store(t, source, sink, intents(sink, jobs))
		stored, err := s.intents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		of, keys := make(map[int]int), make(map[string]bool)
		for _, i := range stored {
			of[i.order]++
			keys[i.key] = true
		}
		if len(stored) != s.placed || len(of) != s.placed || len(keys) != s.placed || sink.fails.Load() > 0 {
			t.Errorf("round %d: %d intents of %d orders with %d keys, and %d orders were placed; %d transactions were to fall", round, len(stored), len(of), len(keys), s.placed, sink.fails.Load())
		}
	}
}

// store runs a consumer that knows nothing of earlier ones until all orders have an intent.
func (s *story) store(t *testing.T, source consumer.Source, sink dedup.Sink, h consumer.Handler) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- consumer.Run(ctx, consumer.Config{
			Name: "payments", Source: source, Leases: memlease.New(), Delivery: consumer.ExactlyOnce, Sink: sink, Handler: h,
		})
	}()
	w := &worker{over: make(chan struct{})}
	err := s.until(ctx, w, func(ctx context.Context) (bool, error) {
		stored, err := s.intents(ctx)
		return len(stored) >= s.placed, err
	})
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}
