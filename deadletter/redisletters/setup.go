package redisletters

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/redismaster"
)

var errEvicts = errors.New("the server may evict keys")

// Setup makes nothing: keys come with letters. It parks, reads and settles a letter of its own, in a scope of its own, so that it fails where workers and redrives would, and fails unless the maxmemory-policy of
// each server is noeviction. Workers may call it in the same instant.
func (s *Store) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := s.client.Each(ctx, func(ctx context.Context, node *redis.Client) error {
		return redismaster.Keeps(ctx, node, "letters", errEvicts)
	}); err != nil {
		return s.fault(ctx, "set up", err)
	}
	scope := deadletter.Scope{Stream: "setup"}
	l := deadletter.Letter{Scope: scope, Shard: rand.Text(), Position: checkpoint.Offset(1), Key: rand.Text(), Payload: []byte("setup")}
	c := deadletter.Claim{Scope: scope, Key: l.Key, Token: rand.Text()}
	if err := s.Park(ctx, []deadletter.Letter{l}, true); err != nil {
		return err
	}
	if err := s.Claim(ctx, c, time.Minute); err != nil {
		return err
	}
	if err := s.Settle(ctx, c, l.ID(), &deadletter.Failure{At: time.Now()}); err != nil {
		return err
	}
	for _, err := range s.Parked(ctx, scope) {
		if err != nil {
			return err
		}
	}
	found := 0
	for got, err := range s.Read(ctx, deadletter.Query{Scope: scope}) {
		if err != nil {
			return err
		}
		if got.ID() == l.ID() {
			found++
		}
	}
	if err := s.Settle(ctx, c, l.ID(), nil); err != nil && !errors.Is(err, deadletter.ErrNoLetter) { // no letter: the client sent it again
		return err
	}
	if err := s.Claim(ctx, c, 0); err != nil {
		return err
	}
	if found != 1 {
		return s.fault(ctx, "set up", fmt.Errorf("a letter that was just written is read %d times: does the server read from a replica?", found))
	}
	return nil
}
