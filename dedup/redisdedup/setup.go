package redisdedup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/redismaster"
)

// Setup makes nothing: keys come with marks. It seals a shard of its own, in no application, applies, buries, redrives and advances there, and removes it, so that it fails where a consumer would: an error wraps
// [ErrDenied] if the client's user may not, or [ErrServer] if a server may evict keys. Workers may call it in the same instant.
func (s *Sink) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := s.client.Each(ctx, func(ctx context.Context, node *redis.Client) error {
		return redismaster.Keeps(ctx, node, "marks", ErrServer)
	}); err != nil {
		return s.fault(ctx, "set up", dedup.ErrUnavailable, err)
	}
	m := dedup.Mark{Stream: "setup", Shard: rand.Text(), Scope: dedup.PerKey, Epoch: 1, Session: rand.Text()}
	err := s.try(ctx, m)
	k := s.keys(m)
	leave := &request{keys: k.all(), marks: [][]string{append([]string{"UNLINK", k.id(checkpoint.Offset(1)), s.waitKey("")}, k.all()...)}}
	if _, _, gone := s.send(ctx, leave); gone != nil {
		err = errors.Join(err, gone)
	}
	s.forget(m)
	return err
}

// try does what a consumer does.
func (s *Sink) try(ctx context.Context, m dedup.Mark) error {
	at := func(n uint64) dedup.Mark {
		m.Position = checkpoint.Offset(n)
		return m
	}
	if _, err := s.Seal(ctx, m); err != nil {
		return err
	}
	mem, err := s.memoryOf(ctx, m)
	if err != nil {
		return err
	}
	if mem.history == "" {
		return s.fault(ctx, "set up", dedup.ErrUnavailable, fmt.Errorf("%w: INFO replication has no master_replid, by which a fail-over is known: Redis has since version 4", ErrServer))
	}
	called := 0
	count := func(*Write, []int) error {
		called++
		return nil
	}
	for range 2 {
		if err := s.Apply(ctx, []dedup.Mark{at(1)}, count); err != nil {
			return err
		}
	}
	letter := at(2)
	if err := s.Bury(ctx, []dedup.Mark{letter}); err != nil {
		return err
	}
	letter.Redrive = true
	if err := s.Apply(ctx, []dedup.Mark{letter}, count); err != nil {
		return err
	}
	if err := s.Advance(ctx, at(2)); err != nil {
		return err
	}
	if err := s.Bury(ctx, []dedup.Mark{at(3)}); err != nil {
		return err
	}
	m.Epoch, m.Generation = 2, 1 // a reset: the burial is void when the record is applied
	if _, err := s.Seal(ctx, at(2)); err != nil {
		return err
	}
	if err := s.Apply(ctx, []dedup.Mark{at(3)}, count); err != nil {
		return err
	}
	m.Scope = dedup.PerID
	if err := s.Apply(ctx, []dedup.Mark{at(1)}, count); err != nil {
		return err
	}
	if called != 4 {
		return s.fault(ctx, "set up", dedup.ErrUnavailable, fmt.Errorf("of four records and a repeat %d were fresh: does the server read from a replica?", called))
	}
	return nil
}
