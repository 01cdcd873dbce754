package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/runnelhq/runnel/consumer/filesource"
)

const (
	early, late = 20, 10 // orders before the kill and after it
	unheard     = 7      // the order whose charge the first worker does not hear of
	shard       = "0"
)

// story is a day of the shop.
type story struct {
	out   io.Writer
	begun time.Time

	options
	db       *sql.DB
	provider *provider
	placed   int // orders
}

// run tells the whole story, and gives an error if it did not go as told.
func run(ctx context.Context, out io.Writer, postgres string) (err error) {
	s := &story{out: out, begun: time.Now(), options: options{postgres: postgres, schema: "outbox_" + strings.ToLower(rand.Text()[:8])}, provider: newProvider(unheard)}
	if s.dir, err = os.MkdirTemp("", "outbox"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if s.db, err = sql.Open("pgx", postgres); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		_, dropped := s.db.ExecContext(context.WithoutCancel(ctx), "DROP SCHEMA "+s.schema+" CASCADE")
		err = errors.Join(err, dropped)
	}()
	stop, err := s.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := s.tell(ctx); err != nil {
		return err
	}
	return s.check(ctx)
}

// prepare makes the stream and the tables of the queue; a worker makes those of leases and marks itself.
func (s *story) prepare(ctx context.Context) error {
	if err := filesource.NewWriter(s.dir).Create(shard); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "CREATE SCHEMA "+s.schema); err != nil {
		return err
	}
	tables, err := rivermigrate.New(riverdatabasesql.New(s.db), &rivermigrate.Config{Schema: s.schema})
	if err != nil {
		return err
	}
	_, err = tables.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// serve opens the provider.
func (s *story) serve(ctx context.Context) (stop func() error, err error) {
	at, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.api = "http://" + at.Addr().String()
	server := &http.Server{Handler: s.provider, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(at) }()
	return func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// tell is what happens, one thing after the other.
func (s *story) tell(ctx context.Context) error {
	if err := s.place(early); err != nil {
		return err
	}
	s.say("%d orders are placed, and worker 1 opens", early)
	one, err := s.hire(ctx)
	if err != nil {
		return err
	}
	if err := s.until(ctx, one, s.provider.keeps); err != nil {
		return errors.Join(err, one.stop())
	}
	pid, err := one.kill()
	if err != nil {
		return err
	}
	s.say("order %d is charged, and worker 1 has not heard of it: killed (process %d) with SIGKILL", unheard, pid)
	if err := s.place(late); err != nil {
		return err
	}
	s.say("%d more orders are placed, and worker 2 opens", late)
	two, err := s.hire(ctx)
	if err != nil {
		return err
	}
	err = s.until(ctx, two, s.completed)
	return errors.Join(err, two.stop())
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%4.1f s  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) place(n int) error {
	var lines [][]byte
	for range n {
		s.placed++
		line, err := json.Marshal(order{Number: s.placed, Cents: 100 * s.placed, Placed: time.Now()})
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	return filesource.NewWriter(s.dir).Append(shard, lines...)
}

// worker is a worker process.
type worker struct {
	cmd  *exec.Cmd
	life io.Closer // its standard input: it stops when this is closed
	over chan struct{}
	err  error // once over is closed
}

// hire starts a worker. It outlives ctx: it is stopped in its own way.
func (s *story) hire(ctx context.Context) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &worker{over: make(chan struct{})}
	w.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, "-postgres", s.postgres, "-dir", s.dir, "-schema", s.schema, "-api", s.api)
	w.cmd.Stdout, w.cmd.Stderr = os.Stderr, os.Stderr
	if w.life, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.over)
	}()
	return w, nil
}

// kill ends a worker with no time for a last word.
func (w *worker) kill() (pid int, err error) {
	err = w.cmd.Process.Kill()
	<-w.over
	return w.cmd.Process.Pid, err
}

// stop lets a worker finish what it has.
func (w *worker) stop() error {
	_ = w.life.Close() // closed already if it has ended
	<-w.over
	return w.err
}

// patience is for what a worker may take: the second one leads the queue up to 15 s after the death of the first, and takes up its jobs then.
const patience = 90 * time.Second

// until waits for something that a worker is to bring about, and looks for it now and then.
func (s *story) until(ctx context.Context, w *worker, is func(context.Context) (bool, error)) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if happened, err := is(ctx); err != nil || happened {
			return err
		}
		select {
		case <-tick.C:
		case <-w.over:
			return fmt.Errorf("the worker has ended: %w", w.err)
		case <-late.C:
			return fmt.Errorf("nothing has come of it for %s", patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
