package redislease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/internal/redismaster"
	"github.com/runnelhq/runnel/lease"
)

// setupGroup is where Setup tries whether it can do what workers do: among the rows that all applications share, and in no group that they list.
const setupGroup = "W/setup/"

// Setup makes nothing: keys come with rows. It writes, reads, lists and deletes a row of its own, so that it fails where workers would: an error wraps [lease.ErrDenied] if the
// client's user may not. One that wraps [lease.ErrTable] says that the server may evict keys: set maxmemory-policy noeviction. Workers may call it in the same instant.
func (s *Store) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := s.client.Each(ctx, s.keeps); err != nil {
		return err
	}
	if _, err := s.History(ctx, []string{setupGroup}); err != nil {
		return err
	}
	row := lease.Row{Key: setupGroup + rand.Text(), Value: []byte("{}")}
	if errs := s.Put(ctx, []lease.Row{row}); errs != nil && !errors.Is(errs[0], lease.ErrConflict) { // a conflict: the client sent it again
		return errs[0]
	}
	rows, err := s.Get(ctx, []string{row.Key})
	if err == nil {
		for _, err = range s.List(ctx, setupGroup, "") {
			if err != nil {
				break
			}
		}
	}
	if errs := s.Delete(ctx, []lease.Row{{Key: row.Key, Version: 1}}); errs != nil && !errors.Is(errs[0], lease.ErrConflict) {
		err = errors.Join(err, errs[0])
	}
	if err == nil && rows[0].Version != 1 {
		err = s.fault(ctx, "set up", fmt.Errorf("a row that was just written is read with version %d: does the server read from a replica?", rows[0].Version))
	}
	return err
}

// keeps checks that a server evicts nothing.
func (s *Store) keeps(ctx context.Context, node *redis.Client) error {
	err := redismaster.Keeps(ctx, node, "leases", lease.ErrTable)
	if err != nil {
		return s.fault(ctx, "set up", err)
	}
	return nil
}
