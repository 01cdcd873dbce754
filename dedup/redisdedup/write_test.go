package redisdedup

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestValidateRefusesWhatCannotWork(t *testing.T) {
	client := func(o *redis.Options) redis.UniversalClient {
		c := redis.NewClient(o)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	fine := client(&redis.Options{ContextTimeoutEnabled: true})
	for name, c := range map[string]struct {
		client redis.UniversalClient
		cfg    Config
		want   []string // empty: nothing is wrong
	}{
		"a client":            {fine, Config{Prefix: "a b/", Replicas: 2, TTL: 1e6}, nil},
		"none":                {nil, Config{}, []string{"New needs"}},
		"no deadlines":        {client(&redis.Options{}), Config{}, []string{"ContextTimeoutEnabled"}},
		"a prefix with a tag": {fine, Config{Prefix: "{x}"}, []string{`Config.Prefix is "{x}"`}},
		"fewer than none":     {fine, Config{Replicas: -1}, []string{"Config.Replicas is -1"}},
		"less than Redis has": {fine, Config{TTL: 1e6 - 1}, []string{"Config.TTL is 999.999µs"}},
		"several at once":     {fine, Config{TTL: -1, Replicas: -2, Prefix: "}"}, []string{"TTL", "Replicas", "Prefix"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(c.client, &c.cfg)
			err := s.Validate()
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("%v; want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
				if err := s.Setup(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Setup: %v; want %q", err, want)
				}
			}
		})
	}
}

// Names that have what separates names are names of their own, and each chooses one slot.
func TestTagsAreDistinctAndChooseASlot(t *testing.T) {
	seen := map[string]string{}
	for _, app := range []string{"", "a", "a/b", "a}", "{a", "a%2Fb", "{", "}", "%", "{}", "{%}"} {
		tag := Tag(app)
		if was, ok := seen[tag]; ok {
			t.Errorf("%q is of %q and of %q", tag, was, app)
		}
		seen[tag] = app
		if tagOf("x"+tag+":y{z}") != tag {
			t.Errorf("%q: it chooses no slot", tag)
		}
	}
}

func TestKeysOfAnotherSlotAreRefused(t *testing.T) {
	for key, want := range map[Key]string{
		"{a}:b": "", "b:{a}": "", "b:{a}:{c}": "", "}{a}": "",
		"a": "not in the slot", "{b}:a": "not in the slot", "{}{a}": "not in the slot", "{b}{a}": "not in the slot", "{{a}}": "not in the slot", "{a": "not in the slot", "": "not in the slot",
		"own:{a}/x": "the sink's own",
	} {
		for name, add := range map[string]func(w *Write){
			"Do":    func(w *Write) { w.Do("SET", key, 1) },
			"Eval":  func(w *Write) { w.Eval("x", []Key{key}) },
			"Check": func(w *Write) { w.Check("x", []Key{key}) },
		} {
			w := &Write{tag: "{a}", own: "own:{a}/"}
			add(w)
			if (w.err == nil) != (want == "") || w.err != nil && !strings.Contains(w.err.Error(), want) {
				t.Errorf("%s with %q: %v; want %q", name, key, w.err, want)
			}
		}
	}
}

func TestWhatIsNoEffectIsRefused(t *testing.T) {
	for want, add := range map[string]func(w *Write){
		"SET: none of its arguments is a redisdedup.Key": func(w *Write) { w.Do("SET", "{a}:key", 1) },
		"GET: none":                    func(w *Write) { w.Do("GET") },
		"has no name":                  func(w *Write) { w.Do(" ", w.Key("k")) },
		"SADD: argument 1: a []string": func(w *Write) { w.Do("SADD", w.Key("k"), []string{"a"}) },
		"Eval: argument 0: a <nil>":    func(w *Write) { w.Eval("x", nil, nil) },
		"Check: it has no body":        func(w *Write) { w.Check("", nil) },
		"it has 4000 arguments; give it": func(w *Write) {
			args := []any{w.Key("k")}
			for len(args) < most {
				args = append(args, 1)
			}
			w.Do("SADD", args...)
		},
		"too much for one script": func(w *Write) {
			for range maxWords/3 + 1 {
				w.Do("INCR", w.Key("k"))
			}
		},
	} {
		w := &Write{tag: "{a}", own: "own:{a}/"}
		add(w)
		if w.err == nil || !strings.Contains(w.err.Error(), want) {
			t.Errorf("%v; want %q", w.err, want)
		}
	}
}
