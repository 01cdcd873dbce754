//go:build engines

package redisdedup_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

var scopes = []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}

// halfway adds 1 to a counter, and then to what is no number.
func halfway(w *redisdedup.Write, _ []int) error {
	w.Do("INCR", w.Key("first"))
	w.Do("SET", w.Key("text"), "text")
	w.Do("HINCRBY", w.Key("second"), "text", 1)
	w.Do("INCR", w.Key("third"))
	return nil
}

func isHalfway(t *testing.T, err error, effect int, command string) {
	t.Helper()
	var half *redisdedup.HalfwayError
	var back *dedup.RolledBackError
	if !errors.As(err, &half) || !errors.As(err, &back) || half.Effect != effect || half.Command != command {
		t.Fatalf("%v; want a *HalfwayError of effect %d, %s, in a *dedup.RolledBackError", err, effect, command)
	}
	for _, target := range []error{dedup.ErrUnavailable, dedup.ErrUnsettled, dedup.ErrFenced, dedup.ErrNotSealed} {
		if errors.Is(err, target) {
			t.Fatalf("%v is %v too", err, target)
		}
	}
}

// The named trace: a script fails half-way. What was done before stands, once, nothing is marked, and the error tells.
func TestTraceAScriptFailsHalfway(t *testing.T) {
	for _, scope := range scopes {
		t.Run(scope.String(), func(t *testing.T) {
			m := mark(scope)
			s, c := newSink(t, m)
			tag := redisdedup.Tag(m.App) + ":"
			if err := c.HSet(t.Context(), tag+"second", "text", "text").Err(); err != nil {
				t.Fatal(err)
			}
			before := dump(t, c, m)
			err := s.Apply(t.Context(), records(m, 1, 2), halfway)
			isHalfway(t, err, 2, "HINCRBY")
			if !strings.Contains(err.Error(), "not an integer") {
				t.Errorf("%v; want what Redis says", err)
			}
			if first, third := count(t, c, tag+"first"), count(t, c, tag+"third"); first != 1 || third != 0 {
				t.Errorf("%d times what is before, %d times what is behind; want once and not", first, third)
			}
			notes, err := c.Keys(t.Context(), "runnel:dedup:"+redisdedup.Tag(m.App)+"/failed/*").Result()
			if err != nil || len(notes) != 1 {
				t.Fatalf("%q, %v; want one note", notes, err)
			}
			if left := c.PTTL(t.Context(), notes[0]).Val(); left <= 0 {
				t.Errorf("the note ends in %v", left)
			}
			if err := c.Del(t.Context(), tag+"first", tag+"text", notes[0]).Err(); err != nil {
				t.Fatal(err)
			}
			if after := dump(t, c, m); !slices.Equal(before, after) {
				t.Errorf("beside the effects there is\n%q; want what was there:\n%q", after, before)
			}

			// Who tries again has it all again, and an Apply that succeeds has the records applied.
			isHalfway(t, s.Apply(t.Context(), records(m, 1, 2), halfway), 2, "HINCRBY")
			apply(t, s, records(m, 1, 2)...)
			repeats(t, s, records(m, 1, 2)...)
			stand(t, c, 1, records(m, 1, 2)...)
		})
	}
}

// halfABody is halfway in a body, and in the first effect.
func halfABody(w *redisdedup.Write, _ []int) error {
	w.Eval("redis.call('INCR', KEYS[1]) redis.call('HINCRBY', KEYS[2], 'text', 1)", []redisdedup.Key{w.Key("first"), w.Key("second")})
	return nil
}

// An answer that was lost has the script sent again: the half that was made is not made again.
func TestAHalfOfWhichTheAnswerWasLostIsMadeOnce(t *testing.T) {
	for _, scope := range scopes {
		for name, retries := range map[string]int{"by the client": 3, "by the sink": -1} {
			t.Run(scope.String()+" "+name, func(t *testing.T) {
				m := mark(scope)
				_, c := newSink(t, m)
				tag := redisdedup.Tag(m.App) + ":"
				if err := c.HSet(t.Context(), tag+"second", "text", "text").Err(); err != nil {
					t.Fatal(err)
				}
				p, url := newProxy(t, server.Addr)
				s := redisdedup.New(dial(t, url, func(o *redis.Options) { o.MaxRetries = retries }), nil)
				made := p.next(writing, fate{lose: true})
				isHalfway(t, s.Apply(t.Context(), records(m, 1, 2), halfway), 2, "HINCRBY")
				if n := count(t, c, tag+"first"); n != 1 || !made.Load() {
					t.Errorf("what is before stands %d times; want once, with the answer lost: %v", n, made.Load())
				}
				p.next(writing, fate{lose: true})
				isHalfway(t, s.Apply(t.Context(), records(m, 1, 2), halfABody), 0, "EVAL")
				if n := count(t, c, tag+"first"); n != 2 {
					t.Errorf("half a body and what was before stand %d times; want two", n)
				}
			})
		}
	}
}

func TestWhatIsFoundBeforeTheFirstEffectLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w *redisdedup.Write)
		want string
	}{
		"a type": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Do("hset", w.Key("list"), "field", 1)
		}, "is a list"},
		"a check that is false": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Check("return #ARGV == 1 and ARGV[1] == '1'", []redisdedup.Key{w.Key("list")}, true)
			w.Check("return redis.call('LLEN', KEYS[1]) == 5", []redisdedup.Key{w.Key("list")})
		}, "check 1 refuses: it is false"},
		"a check that answers an error": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Check("return redis.error_reply('no stock of ' .. ARGV[1])", nil, "apples")
		}, "no stock of apples"},
		"a check that fails": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Check("return redis.call('GET', KEYS[1])", []redisdedup.Key{w.Key("list")})
		}, "WRONGTYPE"},
		"a check that raises": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Check("\nerror('the second line')", nil)
		}, "check 0:2: the second line"},
		"no Lua": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Eval("return 1 end", nil)
		}, "effect 1 is no Lua"},
		"a check that is no Lua": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Check("if", nil)
		}, "check 0 is no Lua"},
		"the first command": {func(w *redisdedup.Write) {
			w.Do("LSET", w.Key("list"), 9, "x")
			w.Do("INCR", w.Key("first"))
		}, "effect 0, LSET: ERR index out of range"},
		"the first command is unknown": {func(w *redisdedup.Write) {
			w.Do("FROBNICATE", w.Key("list"))
		}, "FROBNICATE"},
		"a key of another slot": {func(w *redisdedup.Write) {
			w.Do("INCR", w.Key("first"))
			w.Do("INCR", redisdedup.Key("second"))
		}, `key "second" is not in the slot of the marks`},
	} {
		for _, scope := range scopes {
			t.Run(name+"/"+scope.String(), func(t *testing.T) {
				m := mark(scope)
				s, client := newSink(t, m)
				if err := client.RPush(t.Context(), redisdedup.Tag(m.App)+":list", "a").Err(); err != nil {
					t.Fatal(err)
				}
				before := dump(t, client, m)
				err := s.Apply(t.Context(), records(m, 1, 2), func(w *redisdedup.Write, _ []int) error {
					c.f(w)
					return nil
				})
				var half *redisdedup.HalfwayError
				var back *dedup.RolledBackError
				if !errors.As(err, &back) || errors.As(err, &half) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want a *dedup.RolledBackError that says %q", err, c.want)
				}
				if after := dump(t, client, m); !slices.Equal(before, after) {
					t.Errorf("before: %q\nafter: %q", before, after)
				}
				apply(t, s, records(m, 1, 2)...)
			})
		}
	}
}

// What the batch itself makes of a key is no reason to refuse what follows.
func TestTypesAreThoseBeforeTheFirstEffectOnAKey(t *testing.T) {
	m := mark(dedup.PerShard)
	s, c := newSink(t, m)
	tag := redisdedup.Tag(m.App) + ":"
	if err := errors.Join(c.RPush(t.Context(), tag+"a", "x").Err(), c.RPush(t.Context(), tag+"b", "x").Err()); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), records(m, 1, 1), func(w *redisdedup.Write, _ []int) error {
		w.Do("DEL", w.Key("a"))
		w.Do("HSET", w.Key("a"), "f", []byte{0, 255}, "g", 1.5, "h", uint8(7), "i", false)
		w.Eval("redis.call('DEL', KEYS[1])", []redisdedup.Key{w.Key("b")})
		w.Do("INCRBY", w.Key("b"), int64(-3))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := c.HGetAll(t.Context(), tag+"a").Val(); got["f"] != "\x00\xff" || got["g"] != "1.5" || got["h"] != "7" || got["i"] != "0" || count(t, c, tag+"b") != -3 {
		t.Errorf("%q", got)
	}
}

// Of a body a part may be done, also of the first.
func TestABodyThatFailsIsHalfway(t *testing.T) {
	m := mark(dedup.PerShard)
	s, c := newSink(t, m)
	for body, why := range map[string]string{
		"redis.call('INCR', KEYS[1])\nredis.call('INCRBY', KEYS[1], 'x')":                            "not an integer",
		"redis.call('INCR', KEYS[1]) error('on purpose')":                                            "on purpose",
		"redis.call('INCR', KEYS[1]) return redis.error_reply('on purpose')":                         "on purpose",
		"redis.call('INCR', KEYS[1]) return redis.pcall('INCRBY', KEYS[1], ARGV[1])":                 "not an integer",
		"redis.call('INCR', KEYS[1]) local t = nil; return t.x":                                      "nil value",
		"redis.call('INCR', KEYS[1]) for i = 1, tonumber(ARGV[2]) do error({ err = 'a table' }) end": "a table",
	} {
		key := redisdedup.Tag(m.App) + ":first"
		before := count(t, c, key)
		err := s.Apply(t.Context(), records(m, 1, 1), func(w *redisdedup.Write, _ []int) error {
			w.Eval(body, []redisdedup.Key{w.Key("first")}, "x", 1)
			return nil
		})
		isHalfway(t, err, 0, "EVAL")
		if !strings.Contains(err.Error(), why) {
			t.Errorf("%v; want %q", err, why)
		}
		if n := count(t, c, key); n != before+1 {
			t.Errorf("%s: %d more; want what it did to stand", body, n-before)
		}
	}
	apply(t, s, at(m, 1))
}

// Marks are written last, and a user who may not write one has not made the effects undone.
func TestAMarkThatFailsIsHalfway(t *testing.T) {
	m := mark(dedup.PerShard)
	r := node(t)
	admin := dial(t, r.URL)
	if err := admin.Do(t.Context(), "acl", "setuser", "runnel", "on", ">secret", "~*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	s := redisdedup.New(dial(t, strings.Replace(r.URL, "redis://", "redis://runnel:secret@", 1)), nil)
	seal(t, s, m, 0)
	if err := admin.Do(t.Context(), "acl", "setuser", "runnel", "-hset").Err(); err != nil {
		t.Fatal(err)
	}
	isHalfway(t, s.Apply(t.Context(), records(m, 1, 1), counting(records(m, 1, 1))), 1, "a mark")
	stand(t, admin, 1, at(m, 1))
	if err := s.Bury(t.Context(), records(m, 1, 1)); !errors.Is(err, dedup.ErrUnavailable) || !errors.Is(err, redisdedup.ErrDenied) {
		t.Errorf("Bury: %v; want dedup.ErrUnavailable and ErrDenied", err)
	}
	refused := func(w *redisdedup.Write, _ []int) error {
		w.Do("HSET", w.Key("hash"), "field", 1)
		return nil
	}
	if err := s.Apply(t.Context(), records(m, 1, 1), refused); !errors.Is(err, dedup.ErrUnavailable) || !errors.Is(err, redisdedup.ErrDenied) {
		t.Errorf("an effect that the user may not make: %v; want dedup.ErrUnavailable and ErrDenied", err)
	}
	if low := admin.HGet(t.Context(), key(m, "seal"), "position").Val(); low != "" {
		t.Errorf("low is %q; want none", low)
	}
}

// A full memory is found out before anything is done, wherever among the effects the command is that needs some.
func TestAFullMemoryLeavesNothing(t *testing.T) {
	r := node(t)
	c := dial(t, r.URL)
	for _, scope := range scopes {
		m := mark(scope)
		s := redisdedup.New(c, nil)
		seal(t, s, m, 0)
		apply(t, s, at(m, 1))
		if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
			t.Fatal(err)
		}
		before := dump(t, c, m)
		for name, f := range map[string]func(w *redisdedup.Write){
			"a command": func(w *redisdedup.Write) { w.Do("INCR", w.Key("a")) },
			"behind one that reads": func(w *redisdedup.Write) {
				w.Do("GET", w.Key("a"))
				w.Do("INCR", w.Key("a"))
			},
			"in a body":  func(w *redisdedup.Write) { w.Eval("redis.call('INCR', KEYS[1])", []redisdedup.Key{w.Key("a")}) },
			"no effects": func(*redisdedup.Write) {},
		} {
			err := s.Apply(t.Context(), records(m, 2, 3), func(w *redisdedup.Write, _ []int) error {
				f(w)
				return nil
			})
			if !errors.Is(err, dedup.ErrUnavailable) || errors.Is(err, dedup.ErrUnsettled) || !strings.Contains(err.Error(), "maxmemory") {
				t.Errorf("%s, %s: %v; want dedup.ErrUnavailable and maxmemory", scope, name, err)
			}
			if after := dump(t, c, m); !slices.Equal(before, after) {
				t.Errorf("%s, %s: before: %q\nafter: %q", scope, name, before, after)
			}
		}
		if err := s.Bury(t.Context(), records(m, 2, 3)); !errors.Is(err, dedup.ErrUnavailable) {
			t.Errorf("Bury: %v", err)
		}
		if err := c.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
			t.Fatal(err)
		}
		apply(t, s, records(m, 2, 3)...)
		stand(t, c, 1, records(m, 1, 3)...)
	}
}

// Redis does not roll back: what somebody made of the sink's keys is found before the first effect.
func TestABrokenKeyOfTheSinkLeavesAllAsItWas(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		for _, name := range []string{"seal", "done", "order", "dead"} {
			m := mark(scope)
			s, c := newSink(t, m)
			apply(t, s, at(m, 1))
			if err := errors.Join(c.Del(t.Context(), key(m, name)).Err(), c.RPush(t.Context(), key(m, name), "broken").Err()); err != nil {
				t.Fatal(err)
			}
			before := dump(t, c, m)
			for what, call := range map[string]func() error{
				"Apply": func() error { return s.Apply(t.Context(), records(m, 2, 3), counting(records(m, 2, 3))) },
				"Bury":  func() error { return s.Bury(t.Context(), records(m, 2, 3)) },
			} {
				if err := call(); !errors.Is(err, dedup.ErrUnavailable) || !errors.Is(err, redisdedup.ErrRow) {
					t.Errorf("%s, %s with a broken %s: %v; want dedup.ErrUnavailable and ErrRow", scope, what, name, err)
				}
				if after := dump(t, c, m); !slices.Equal(before, after) {
					t.Errorf("%s, %s with a broken %s: before: %q\nafter: %q", scope, what, name, before, after)
				}
			}
		}
	}
}

func TestADamagedRowIsAnError(t *testing.T) {
	for field, text := range map[string]string{"epoch": "0", "generation": "x", "position": "12", "low": ""} {
		m := mark(dedup.PerShard)
		s, c := newSink(t, m)
		apply(t, s, at(m, 1))
		if err := c.HSet(t.Context(), key(m, "seal"), field, text).Err(); err != nil {
			t.Fatal(err)
		}
		if err := refused(t, s, dedup.ErrUnavailable, at(m, 2)); !errors.Is(err, redisdedup.ErrRow) {
			t.Errorf("%s: %v; want ErrRow", field, err)
		}
	}
	for _, text := range []string{"x", "1 2", "x 00110000000000 1", "1 00110000000000 2", "1 00110000000000 x"} {
		m := mark(dedup.PerKey)
		s, c := newSink(t, m)
		apply(t, s, at(m, 1))
		if err := c.HSet(t.Context(), key(m, "done"), "kkey", text).Err(); err != nil {
			t.Fatal(err)
		}
		if err := refused(t, s, dedup.ErrUnavailable, at(m, 2)); !errors.Is(err, redisdedup.ErrRow) {
			t.Errorf("%q: %v; want ErrRow", text, err)
		}
		if err := refused(t, redisdedup.New(c, nil), dedup.ErrUnavailable, at(m, 2)); !errors.Is(err, redisdedup.ErrRow) {
			t.Errorf("%q, by another sink: %v; want ErrRow", text, err)
		}
	}
	for _, text := range []string{"x applied", "1 x"} {
		m := mark(dedup.PerID)
		s, c := newSink(t, m)
		if err := c.Set(t.Context(), key(m, "id/"+at(m, 1).Position.Sort()), text, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := refused(t, s, dedup.ErrUnavailable, at(m, 1)); !errors.Is(err, redisdedup.ErrRow) {
			t.Errorf("%q: %v; want ErrRow", text, err)
		}
	}
}
