//go:build engines

package redisdedup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// trips counts what a client sends.
func trips(p *proxy) *atomic.Int64 {
	var n atomic.Int64
	p.set(func(request string) fate {
		if strings.Contains(request, "evalsha") || strings.Contains(request, "eval\r\n") || strings.Contains(request, "hscan") {
			n.Add(1)
		}
		return fate{}
	})
	return &n
}

func TestRoundTrips(t *testing.T) {
	for _, scope := range scopes {
		m := mark(scope)
		_, c := newSink(t, m)
		p, url := newProxy(t, server.Addr)
		s := redisdedup.New(dial(t, url), nil)
		n := trips(p)
		var was int64
		wants := func(what string, want int64, call func()) {
			t.Helper()
			was = n.Load()
			call()
			if got := n.Load() - was; got != want {
				t.Errorf("%s, %s: %d round trips; want %d", scope, what, got, want)
			}
		}
		one := int64(1)
		if scope == dedup.PerID {
			one = 2
		}
		wants("Seal", map[dedup.Scope]int64{dedup.PerShard: 2, dedup.PerKey: 2}[scope], func() { seal(t, s, m, 0) })
		wants("the first Apply", 3-map[dedup.Scope]int64{dedup.PerID: 1}[scope], func() { apply(t, s, at(m, 1)) })
		for i := range uint64(5) {
			wants("Apply", one, func() { apply(t, s, of(m, "a", 10*i+2), of(m, "b", 10*i+3), of(m, "a", 10*i+4)) })
			wants("Bury", one, func() {
				if err := s.Bury(t.Context(), []dedup.Mark{of(m, "a", 10*i+5)}); err != nil {
					t.Fatal(err)
				}
			})
			wants("Advance", map[dedup.Scope]int64{dedup.PerShard: 1, dedup.PerKey: 1}[scope], func() { advance(t, s, at(m, 10*i+3)) })
		}
		wants("a repeat", 1, func() { repeats(t, s, of(m, "a", 44)) })
		letter := of(m, "a", 45)
		letter.Redrive = true
		wants("a redrive", 2, func() { apply(t, s, letter) })
		stand(t, c, 1, letter)
	}
}

// A script that was sent, and arrives when everything has moved on, does nothing.
func TestALateScriptDoesNothing(t *testing.T) {
	for _, scope := range scopes {
		for name, f := range map[string]func(w *redisdedup.Write, fresh []int) error{
			"that is done": func(w *redisdedup.Write, _ []int) error {
				w.Do("INCR", w.Key("late"))
				return nil
			},
			"that failed half-way": func(w *redisdedup.Write, _ []int) error {
				w.Do("INCR", w.Key("late"))
				w.Eval("if redis.call('EXISTS', KEYS[1]) == 0 then error('on purpose') end", []redisdedup.Key{w.Key("1")})
				return nil
			},
		} {
			t.Run(name+"/"+scope.String(), func(t *testing.T) {
				m := mark(scope)
				_, c := newSink(t, m)
				p, url := newProxy(t, server.Addr)
				s := redisdedup.New(dial(t, url), nil)
				seal(t, s, m, 0)
				var mu sync.Mutex
				var late string
				p.set(func(request string) fate {
					mu.Lock()
					defer mu.Unlock()
					if strings.Contains(request, writing) && strings.Contains(request, ":late") {
						late = request
					}
					return fate{}
				})
				err := s.Apply(t.Context(), records(m, 1, 1), f)
				half := errors.As(err, new(*redisdedup.HalfwayError))
				if err != nil && !half {
					t.Fatal(err)
				}
				if half {
					apply(t, s, at(m, 1))
				}
				apply(t, s, at(m, 2))
				before := dump(t, c, m)
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr)
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				_, err = io.WriteString(closing(t, conn), late)
				mu.Unlock()
				answer := make([]byte, 1024)
				if err == nil {
					_, err = conn.Read(answer)
				}
				if err != nil || strings.HasPrefix(string(answer), "-") || strings.Contains(string(answer), "ok") {
					t.Fatalf("%.200q, %v; want an answer that it did nothing", answer, err)
				}
				if after := dump(t, c, m); fmt.Sprint(before) != fmt.Sprint(after) || count(t, c, redisdedup.Tag(m.App)+":late") != 1 {
					t.Errorf("before: %q\nafter: %q", before, after)
				}
			})
		}
	}
}

// An answer that was lost is settled before the call returns, and the function is called once.
func TestALostAnswerIsSettled(t *testing.T) {
	for _, scope := range scopes {
		for name, f := range map[string]fate{"the answer": {lose: true}, "the request": {drop: true}} {
			m := mark(scope)
			_, c := newSink(t, m)
			p, url := newProxy(t, server.Addr)
			s := redisdedup.New(dial(t, url, func(o *redis.Options) { o.MaxRetries = -1 }), nil)
			seal(t, s, m, 0)
			apply(t, s, at(m, 1))
			for n, call := range []func() error{
				func() error { return s.Apply(t.Context(), records(m, 2, 2), counting(records(m, 2, 2))) },
				func() error { return s.Bury(t.Context(), records(m, 3, 3)) },
				func() error {
					letter := at(m, 3)
					letter.Redrive = true
					return s.Apply(t.Context(), []dedup.Mark{letter}, counting([]dedup.Mark{letter}))
				},
			} {
				made := p.next(writing, f)
				if err := call(); err != nil || !made.Load() {
					t.Errorf("%s, call %d without %s: %v; want it settled", scope, n, name, err)
				}
			}
			repeats(t, s, records(m, 1, 3)...)
			stand(t, c, 1, records(m, 1, 3)...)
		}
	}
}

// What the server answers for reasons of its own is no record's fault, and leaves nothing in doubt; unless the client has sent the script before.
func TestAnswersOfAServerThatIsNotReady(t *testing.T) {
	noRetries := func(o *redis.Options) { o.MaxRetries = -1 }
	for _, line := range []string{
		"-LOADING Redis is loading the dataset in memory", "-BUSY Redis is busy running a script", "-MASTERDOWN Link with MASTER is down",
		"-CLUSTERDOWN The cluster is down", "-READONLY You can't write against a read only replica.", "-TRYAGAIN Multiple keys request during rehashing of slot",
		"-MISCONF Redis is configured to save RDB snapshots", "-OOM command not allowed when used memory > 'maxmemory'.", "-NOREPLICAS Not enough good replicas to write.",
	} {
		m := mark(dedup.PerShard)
		_, c := newSink(t, m)
		p, url := newProxy(t, server.Addr)
		s := redisdedup.New(dial(t, url, noRetries), nil)
		seal(t, s, m, 0)
		apply(t, s, at(m, 1))
		made := p.next(writing, fate{answer: line + "\r\n"})
		err := refused(t, s, dedup.ErrUnavailable, at(m, 2))
		if !made.Load() || errors.Is(err, dedup.ErrUnsettled) || !strings.Contains(err.Error(), line[1:]) {
			t.Errorf("%v; want %s", err, line)
		}
		apply(t, s, at(m, 2))
		stand(t, c, 1, at(m, 2))

		// The first sending arrives and its answer is lost: what the server says to the others says nothing of it.
		var sent atomic.Int32
		p.set(func(request string) fate {
			switch {
			case !strings.Contains(request, writing):
				return fate{}
			case sent.Add(1) == 1:
				return fate{lose: true}
			}
			return fate{answer: line + "\r\n"}
		})
		if err := refused(t, s, dedup.ErrUnsettled, at(m, 3)); errors.Is(err, dedup.ErrUnavailable) {
			t.Errorf("%v; want dedup.ErrUnsettled", err)
		}
		p.set(nil)
		repeats(t, s, at(m, 3))
		stand(t, c, 1, at(m, 3))
	}
}

func TestASinkThatCannotBeReachedHasDoneNothing(t *testing.T) {
	m := mark(dedup.PerShard)
	newSink(t, m)
	p, url := newProxy(t, server.Addr)
	s := redisdedup.New(dial(t, url), nil)
	seal(t, s, m, 0)
	apply(t, s, at(m, 1))
	p.cut(true)
	if err := answeredBy(t, func() error { return s.Apply(t.Context(), records(m, 2, 2), counting(records(m, 2, 2))) }); !errors.Is(err, dedup.ErrUnavailable) || errors.Is(err, dedup.ErrUnsettled) {
		t.Errorf("%v; want dedup.ErrUnavailable", err)
	}
	p.cut(false)
	apply(t, s, at(m, 2))
}

// answeredBy calls again while it is not known: connections that were cut are found to be.
func answeredBy(t *testing.T, call func() error) (err error) {
	t.Helper()
	until(t, "a settled answer", func(context.Context) error {
		if err = call(); errors.Is(err, dedup.ErrUnsettled) {
			return err
		}
		return nil
	})
	return err
}

// Where somebody else has written, nothing is done, and the function decides again.
func TestTheFunctionIsCalledAgainWhenMarksHaveMoved(t *testing.T) {
	m := mark(dedup.PerKey)
	s, c := newSink(t, m)
	apply(t, s, at(m, 1))
	other := redisdedup.New(c, nil)
	calls := 0
	ms := records(m, 2, 3)
	if err := s.Apply(t.Context(), ms, func(w *redisdedup.Write, fresh []int) error {
		calls++
		if calls == 1 {
			advance(t, other, at(m, 1))
		}
		return counting(ms)(w, fresh)
	}); err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("%d calls; want 2", calls)
	}
	stand(t, c, 1, records(m, 1, 3)...)
}

// A shard whose order is another now is not sealed over marks of keys that are written meanwhile.
func TestASealSeesMarksThatAreWrittenMeanwhile(t *testing.T) {
	m := mark(dedup.PerKey)
	s, c := newSink(t, m)
	p, url := newProxy(t, server.Addr)
	var once sync.Once
	p.set(func(request string) fate {
		if strings.Contains(request, writing) {
			once.Do(func() { apply(t, s, at(m, 2)) })
		}
		return fate{}
	})
	next := m
	next.Scope, next.Epoch = dedup.PerShard, 2
	if _, err := redisdedup.New(dial(t, url), nil).Seal(t.Context(), next); !errors.Is(err, dedup.ErrScope) {
		t.Errorf("%v; want dedup.ErrScope", err)
	}
	apply(t, s, at(m, 3))
	stand(t, c, 1, records(m, 2, 3)...)
}

// Of two who seal at once the higher epoch stands.
func TestASealDoesNotReplaceAHigherOneThatCameMeanwhile(t *testing.T) {
	m := mark(dedup.PerShard)
	s, _ := newSink(t, m)
	p, url := newProxy(t, server.Addr)
	second, third := m, m
	second.Epoch, third.Epoch = 2, 3
	var once sync.Once
	p.set(func(request string) fate {
		if strings.Contains(request, writing) {
			once.Do(func() { seal(t, s, third, 0) })
		}
		return fate{}
	})
	if _, err := redisdedup.New(dial(t, url), nil).Seal(t.Context(), second); !errors.Is(err, dedup.ErrFenced) {
		t.Errorf("%v; want dedup.ErrFenced", err)
	}
	apply(t, s, at(third, 1))
}

// The named traces: positions of 56 digits that differ in the last, and keys with what a collation passes over. Advance drops the marks up to its position, and no other.
func TestTraceAdvanceDropsExactlyWhatIsBelow(t *testing.T) {
	m := mark(dedup.PerKey)
	s, c := newSink(t, m)
	position := func(last string, sub uint32) checkpoint.Position {
		p, err := checkpoint.Sequence("4954698527125663720468456186713826713204843594573952358" + last)
		if err == nil && sub > 0 {
			p, err = checkpoint.Aggregated(p.Sequence(), sub)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rising := []checkpoint.Position{position("6", 0), position("7", 0), position("7", 1), position("7", 1<<32-1), position("8", 0)}
	keys := []string{"", "!", " ", "a b", "-", "\x00", "\x1f", "\xff", "'", "Z", "z", "_", "."}
	var lanes []string
	for i, p := range rising {
		var ms []dedup.Mark
		for _, k := range keys {
			n := m
			n.Key, n.Position = fmt.Sprintf("%s%d", k, i), p
			ms = append(ms, n)
			lanes = append(lanes, n.Lane())
		}
		if err := s.Apply(t.Context(), ms, func(*redisdedup.Write, []int) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range rising {
		n := m
		n.Position = p
		advance(t, s, n)
		for j, lane := range lanes {
			there, err := c.HExists(t.Context(), key(m, "done"), lane).Result()
			if want := j >= (i+1)*len(keys); err != nil || there != want {
				t.Errorf("Advance to %s: the mark of %q is there: %v, %v; want %v", p, lane, there, err, want)
			}
		}
		if left := c.ZCard(t.Context(), key(m, "order")).Val(); int(left) != len(lanes)-(i+1)*len(keys) {
			t.Errorf("Advance to %s: %d are left in order", p, left)
		}
	}
}

// Marks of many keys are dropped in several runs, and written in several commands.
func TestManyKeys(t *testing.T) {
	m := mark(dedup.PerKey)
	s, c := newSink(t, m)
	const many = 10_000
	ms := make([]dedup.Mark, many)
	for i := range ms {
		ms[i] = of(m, fmt.Sprint("key ", i), uint64(i)+1)
	}
	for range 2 {
		if err := s.Apply(t.Context(), ms, func(*redisdedup.Write, []int) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.HLen(t.Context(), key(m, "done")).Val(); n != many {
		t.Errorf("%d marks; want %d", n, many)
	}
	next := m
	next.Epoch = 2
	seal(t, s, next, 0)
	for i := range ms {
		ms[i].Epoch = 2
	}
	repeats(t, s, ms...)
	advance(t, s, at(next, many-1))
	if n := c.HLen(t.Context(), key(m, "done")).Val(); n != 1 {
		t.Errorf("%d marks; want 1", n)
	}
	repeats(t, s, ms[many-1])
}

func TestMarksOfRecordsExpireAndTheDeadDoNot(t *testing.T) {
	m := mark(dedup.PerID)
	_, c := newSink(t, m)
	s := redisdedup.New(c, &redisdedup.Config{TTL: time.Minute})
	apply(t, s, at(m, 1))
	if err := s.Bury(t.Context(), records(m, 2, 3)); err != nil {
		t.Fatal(err)
	}
	letter := at(m, 3)
	letter.Redrive = true
	apply(t, s, letter)
	for n, ends := range map[uint64]bool{1: true, 2: false, 3: true} {
		left := c.PTTL(t.Context(), key(m, "id/"+at(m, n).Position.Sort())).Val()
		if got := left > 0 && left <= time.Minute; got != ends {
			t.Errorf("record %d ends in %v; want an end: %v", n, left, ends)
		}
	}
}
