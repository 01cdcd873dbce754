//go:build engines

package redislease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

func noRetries(o *redis.Options) { o.MaxRetries = -1 }

// Hazard 17, with a real server: the write is applied, and its answer is lost.
func TestHazard17ALostAnswerIsNoConflict(t *testing.T) {
	c := dial(t, server.URL)
	for verb, write := range map[string]func(*redislease.Store, lease.Row) []error{
		"put":    func(s *redislease.Store, r lease.Row) []error { return s.Put(t.Context(), []lease.Row{r}) },
		"delete": func(s *redislease.Store, r lease.Row) []error { return s.Delete(t.Context(), []lease.Row{r}) },
	} {
		t.Run(verb, func(t *testing.T) {
			cfg := &redislease.Config{Prefix: newPrefix(t, c)}
			s := redislease.New(c, cfg)
			put(t, s, row("a/row", 0))
			if errs := s.Delete(t.Context(), []lease.Row{row("a/none", 0)}); errs != nil { // from here on the server knows both scripts
				t.Fatal(errs)
			}
			on, made := first("evalsha", "")
			losing := redislease.New(dial(t, through(t, on), noRetries), cfg)
			errs := write(losing, row("a/row", 1))
			if len(errs) != 1 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !made.Load() {
				t.Fatalf("%v; want an error that is no conflict", errs)
			}
			if v := get(t, s, "a/row").Version; v == 1 {
				t.Errorf("version %d; want another, for the write was applied", v)
			}
		})
	}
}

// The same with a client that retries, as it does unless told otherwise.
func TestARetriedSuccessIsAConflictWithItself(t *testing.T) {
	c := dial(t, server.URL)
	cfg := &redislease.Config{Prefix: newPrefix(t, c)}
	on, made := first("evalsha", "")
	errs := redislease.New(dial(t, through(t, on)), cfg).Put(t.Context(), []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "it has version 1") || !made.Load() {
		t.Fatalf("%v; want lease.ErrConflict and the version that was written", errs)
	}
	if got := get(t, redislease.New(c, cfg), "a/row"); got.Version != 1 || string(got.Value) != string(row("a/row", 0).Value) {
		t.Errorf("%+v; want the row as it was sent", got)
	}
}

func TestAnswersOfAServerThatIsNotReadyAreErrorsAndPass(t *testing.T) {
	for _, answer := range []string{
		"-LOADING Redis is loading the dataset in memory", "-BUSY Redis is busy running a script", "-MASTERDOWN Link with MASTER is down",
		"-CLUSTERDOWN The cluster is down", "-READONLY You can't write against a read only replica.", "-TRYAGAIN Multiple keys request during rehashing of slot",
		"-MISCONF Redis is configured to save RDB snapshots", "-OOM command not allowed when used memory > 'maxmemory'.", "-MOVED 1 127.0.0.1:1",
	} {
		code, _, _ := strings.Cut(answer[1:], " ")
		t.Run(code, func(t *testing.T) {
			c := dial(t, server.URL)
			on, made := first("evalsha", answer+"\r\n")
			s := redislease.New(dial(t, through(t, on), noRetries), &redislease.Config{Prefix: newPrefix(t, c)})
			errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)})
			if len(errs) != 1 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || errors.Is(errs[0], lease.ErrDenied) || !strings.Contains(errs[0].Error(), code) || !made.Load() {
				t.Errorf("%v; want an error that says %s", errs, code)
			}
			put(t, s, row("a/row", 0))
		})
	}
}

// Scripts are forgotten by a server that is started again, and by one that is told to.
func TestForgottenScriptsAreSentAgain(t *testing.T) {
	for _, replicas := range []int{0, 1} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			p := newPair(t)
			c := p.client(t)
			s := redislease.New(c, &redislease.Config{Replicas: replicas})
			for version := range uint64(3) {
				if err := c.ScriptFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				put(t, s, row("a/row", version))
			}
			if rows := listed(t, s, "a/", ""); rows["a/row"].Version != 3 {
				t.Errorf("%v; want version 3", rows)
			}
		})
	}
}

func TestAReplicaIsRefused(t *testing.T) {
	p := newPair(t)
	c := dial(t, p.replica.URL, noRetries)
	s := redislease.New(c, nil)
	if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "no master") {
		t.Errorf("Setup: %v; want it to say that the server is no master", err)
	}
	if errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)}); len(errs) != 1 || !redis.IsReadOnlyError(errs[0]) || !strings.Contains(errs[0].Error(), "give the client the master") {
		t.Errorf("Put: %v", errs)
	}
}

func TestANodeOfAClusterWantsAClusterClient(t *testing.T) {
	_, addrs := cluster(t, 0)
	s := redislease.New(dial(t, "redis://"+addrs[0]), nil)
	var err error
	for i := 0; i < 20 && err == nil; i++ { // it has a third of the slots
		err = errors.Join(s.Put(t.Context(), []lease.Row{row(fmt.Sprintf("app-%d/row", i), 0)})...)
	}
	if err == nil || !strings.Contains(err.Error(), "redis.NewClusterClient") {
		t.Errorf("%v", err)
	}
}

func TestWritesNeedTheReplicasThatTheServerWants(t *testing.T) {
	s := redislease.New(dial(t, node(t, "min-replicas-to-write", "1").URL, noRetries), nil)
	if errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)}); len(errs) != 1 || !redis.IsNoReplicasError(errs[0]) || errors.Is(errs[0], lease.ErrConflict) {
		t.Errorf("%v", errs)
	}
	if v := get(t, s, "a/row").Version; v != 0 {
		t.Errorf("version %d", v)
	}
}

func TestAFullMemoryRefusesAndForgetsNothing(t *testing.T) {
	c := dial(t, node(t).URL)
	s := redislease.New(c, nil)
	put(t, s, row("a/row", 0))
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 1), row("a/new", 0)})
	if len(errs) != 2 || !redis.IsOOMError(errs[0]) || !redis.IsOOMError(errs[1]) {
		t.Errorf("%v", errs)
	}
	if rows := listed(t, s, "a/", ""); len(rows) != 1 || rows["a/row"].Version != 1 {
		t.Errorf("%v; want the row as it was", rows)
	}
}

func TestConfigReplicasWaitsForReplicas(t *testing.T) {
	p := newPair(t)
	c := p.client(t)
	s := redislease.New(c, &redislease.Config{Replicas: 1})
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
	if entry, err := p.standby.HGet(t.Context(), "runnel:{a}/", "row").Result(); err != nil || !strings.HasPrefix(entry, "1 ") {
		t.Errorf("the replica has %q, %v, of a write that it acknowledged", entry, err)
	}
	p.lag(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	errs := s.Put(ctx, []lease.Row{row("a/row", 1), row("a/row", 7)})
	if len(errs) != 2 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "Config.Replicas wants 0 acknowledged") {
		t.Errorf("%v; want an error that is no conflict", errs)
	}
	if !errors.Is(errs[1], lease.ErrConflict) {
		t.Errorf("%v; want lease.ErrConflict for a row that was not written", errs[1])
	}
	if ctx.Err() != nil {
		t.Error("the wait for replicas took all the time that there was")
	}
	if v := get(t, s, "a/row").Version; v != 2 {
		t.Errorf("version %d; want 2, for the master has it", v)
	}
}

// A server that hangs costs a call no more than its time.
func TestACallEndsWithItsDeadlineThoughTheServerHangs(t *testing.T) {
	c := dial(t, server.URL)
	s := redislease.New(dial(t, through(t, func(request string) (string, bool) {
		if strings.Contains(strings.ToLower(request), "evalsha") {
			return "\r", false // no answer that ends
		}
		return "", false
	})), &redislease.Config{Prefix: newPrefix(t, c)})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	errs := s.Put(ctx, []lease.Row{row("a/row", 0)})
	if took := time.Since(begun); len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || took > 2*time.Second {
		t.Errorf("%v after %v", errs, took)
	}
}
