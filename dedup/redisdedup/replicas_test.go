//go:build engines

package redisdedup_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// What no replica has is no effect that a consumer may move on for: not when it is made, and not when the call is repeated and finds it made.
func TestAnEffectWaitsForReplicas(t *testing.T) {
	p := newPair(t)
	c, admin := p.client(t), dial(t, p.master.URL)
	s := redisdedup.New(c, &redisdedup.Config{Replicas: 1})
	until(t, "a replica acknowledges", s.Setup)
	for _, scope := range scopes {
		t.Run(scope.String(), func(t *testing.T) {
			m := mark(scope)
			seal(t, s, m, 0)
			apply(t, s, at(m, 1))
			stand(t, p.standby, 1, at(m, 1))
			repeats(t, s, at(m, 1))
			if err := s.Bury(t.Context(), records(m, 2, 3)); err != nil {
				t.Fatal(err)
			}
			p.lag(t, c)
			letter := at(m, 2)
			letter.Redrive = true
			for name, call := range map[string]func(s *redisdedup.Sink) error{
				"Apply": func(s *redisdedup.Sink) error {
					return s.Apply(t.Context(), records(m, 4, 4), counting(records(m, 4, 4)))
				},
				"redrive": func(s *redisdedup.Sink) error {
					return s.Apply(t.Context(), []dedup.Mark{letter}, counting([]dedup.Mark{letter}))
				},
			} {
				for range 3 {
					err := call(s)
					if !errors.Is(err, dedup.ErrUnsettled) || errors.Is(err, dedup.ErrUnavailable) || !strings.Contains(err.Error(), "Config.Replicas") {
						t.Errorf("%s: %v; want dedup.ErrUnsettled, for no replica has it", name, err)
					}
					// What WAIT says is about its own connection: the next call has one that has written nothing.
					if err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal").Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := s.Bury(t.Context(), records(m, 5, 5)); !errors.Is(err, dedup.ErrUnsettled) {
				t.Errorf("Bury: %v; want dedup.ErrUnsettled", err)
			}
			stand(t, c, 1, at(m, 1), at(m, 2), at(m, 4))
			p.follow(t)
			until(t, "a replica acknowledges", s.Setup)
			repeats(t, s, at(m, 4))
			repeats(t, s, letter)
			stand(t, p.standby, 1, at(m, 1), at(m, 2), at(m, 4))
			apply(t, s, at(m, 6))
		})
	}
}
