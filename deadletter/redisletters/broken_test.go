//go:build engines

package redisletters_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/redisletters"
)

// Redis does not roll back: a script that fails on a key that somebody broke has written nothing before.
func TestACallThatFailsOnABrokenKeyLeavesAllAsItWas(t *testing.T) {
	claim := deadletter.Claim{Scope: orders, Key: "k", Token: "token"}
	park := func(s *redisletters.Store) error {
		return s.Park(t.Context(), []deadletter.Letter{letter(2), letter(3)}, true)
	}
	settle := func(s *redisletters.Store) error { return s.Settle(t.Context(), claim, letter(1).ID(), nil) }
	for name, c := range map[string]struct {
		call   func(*redisletters.Store) error
		broken []string
	}{
		"Park":   {park, []string{"seq", "keys", "parked", "since", "letters/k", "letter/" + letter(2).ID(), "letter/" + letter(3).ID()}},
		"Settle": {settle, []string{"claim/k", "keys", "parked", "since", "letters/k", "letter/" + letter(1).ID()}},
	} {
		for _, broken := range c.broken {
			s, client, prefix := newStore(t)
			if err := errors.Join(s.Put(t.Context(), []deadletter.Letter{letter(1)}), s.Claim(t.Context(), claim, time.Hour)); err != nil {
				t.Fatal(err)
			}
			key := prefix + "{billing/orders}/" + broken
			if err := errors.Join(client.Del(t.Context(), key).Err(), client.RPush(t.Context(), key, "broken").Err()); err != nil {
				t.Fatal(err)
			}
			before := dump(t, client, prefix)
			if err := c.call(s); err == nil {
				t.Errorf("%s with a broken %q: no error", name, broken)
			}
			if after := dump(t, client, prefix); !slices.Equal(before, after) {
				t.Errorf("%s with a broken %q: before: %q\nafter: %q", name, broken, before, after)
			}
		}
	}
}

// A full memory takes no letters, and lets those that are there be redriven.
func TestAFullMemoryTakesNoLettersAndGivesThemUp(t *testing.T) {
	r := node(t)
	c := dial(t, r.URL)
	s := redisletters.New(c, nil)
	claim := deadletter.Claim{Scope: orders, Key: "k", Token: "token"}
	if err := errors.Join(s.Park(t.Context(), []deadletter.Letter{letter(1)}, true), s.Claim(t.Context(), claim, time.Hour), c.ConfigSet(t.Context(), "maxmemory", "1").Err()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), []deadletter.Letter{letter(2)}); err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("Put: %v; want an error that names maxmemory", err)
	}
	if err := s.Settle(t.Context(), claim, letter(1).ID(), nil); err != nil {
		t.Errorf("Settle: %v", err)
	}
	if got := ids(t, s); len(got) != 0 {
		t.Errorf("%q; want none", got)
	}
}

// A failure whose answer was lost is added once when the call is repeated, and another one is added.
func TestAFailureThatIsRepeatedIsAddedOnce(t *testing.T) {
	s, _, _ := newStore(t)
	claim := deadletter.Claim{Scope: orders, Key: "k", Token: "token"}
	one := deadletter.Failure{At: time.Unix(1, 5), Worker: "w\xff", Errors: []string{"e\xfe", "<&>\n"}}
	two := one
	two.At = time.Unix(1, 6)
	if err := errors.Join(s.Put(t.Context(), []deadletter.Letter{letter(1)}), s.Claim(t.Context(), claim, time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []deadletter.Failure{one, one, two, two, one} {
		if err := s.Settle(t.Context(), claim, letter(1).ID(), &f); err != nil {
			t.Fatal(err)
		}
	}
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: orders}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(l.History) != 3 || !l.History[1].At.Equal(two.At) || l.History[2].Worker != one.Worker || !slices.Equal(l.History[0].Errors, one.Errors) {
			t.Errorf("%+v; want the first, the second and the first again", l.History)
		}
	}
}

// A letter that is damaged is an error that names it, and no letter.
func TestADamagedLetterIsAnError(t *testing.T) {
	for field, text := range map[string]string{"seq": "x", "head": "{", "payload": "shorter", "history": "{"} {
		s, c, prefix := newStore(t)
		l := letter(1)
		l.Payload = []byte("longer than before")
		if err := s.Put(t.Context(), []deadletter.Letter{l}); err != nil {
			t.Fatal(err)
		}
		if err := c.HSet(t.Context(), prefix+"{billing/orders}/letter/"+l.ID(), field, text).Err(); err != nil {
			t.Fatal(err)
		}
		var got []error
		for l, err := range s.Read(t.Context(), deadletter.Query{Scope: orders}) {
			if got = append(got, err); err == nil {
				t.Errorf("%s: %+v", field, l)
			}
		}
		if len(got) != 1 || !strings.Contains(got[0].Error(), l.Shard) {
			t.Errorf("%s: %v; want one error that names the letter", field, got)
		}
	}
}

// dump is all that the store has.
func dump(t *testing.T, c *redis.Client, prefix string) (all []string) {
	t.Helper()
	keys, err := c.Keys(t.Context(), prefix+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		value, err := c.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key, value)
	}
	return all
}
