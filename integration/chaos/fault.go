package main

import (
	"context"
	"encoding/json"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
)

// fault is what is wrong with a worker on purpose, to see that it is found: the flag -break.
type fault string

// The faults.
const (
	forget     fault = "forget"      // the handler says of some records that they are done, and does nothing
	reorder    fault = "reorder"     // the handler keeps some records back until it has done the next
	secondPath fault = "second-path" // positions are written past the owner of the shard
)

var faults = []fault{"", forget, reorder, secondPath}

// every is how many calls, or writes, there are between two of which something is wrong.
const every = 50

// broken is the handler with the task's fault.
func (h *handling) broken() func(context.Context, consumer.Record) error {
	switch h.Break {
	case forget:
		return func(ctx context.Context, r consumer.Record) error {
			if h.chosen() {
				return nil
			}
			return h.handle(ctx, r)
		}
	case reorder:
		return h.reordered
	default:
		return h.handle
	}
}

func (h *handling) chosen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	return h.calls%every == 0
}

func (h *handling) reordered(ctx context.Context, r consumer.Record) error {
	chosen := h.chosen()
	h.mu.Lock()
	held, holds := h.held[r.Shard]
	switch {
	case holds:
		delete(h.held, r.Shard)
	case chosen:
		if h.held == nil {
			h.held = make(map[string]consumer.Record)
		}
		h.held[r.Shard] = r.Clone()
	}
	h.mu.Unlock()
	if !holds && chosen {
		return nil
	}
	err := h.handle(ctx, r)
	if err == nil && holds {
		err = h.handle(ctx, held)
	}
	return err
}

// secondPathStore writes a shard's row once more after some writes, with what the row held at the first of them.
type secondPathStore struct {
	*watchedStore
	writes int
	old    map[string][]byte
}

func (s *secondPathStore) Put(ctx context.Context, rows []lease.Row) []error {
	answers := s.watchedStore.Put(ctx, rows)
	for i, row := range rows {
		if !isLease(row.Key) || answers != nil && answers[i] != nil {
			continue
		}
		if chosen, old := s.chosen(row); chosen && old != nil {
			row.Version, row.Value = row.Version+1, old
			s.Store.Put(ctx, []lease.Row{row})
		}
	}
	return answers
}

func (s *secondPathStore) chosen(row lease.Row) (chosen bool, old []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.old == nil {
		s.old = make(map[string][]byte)
	}
	var l leaseRow
	if old = s.old[row.Key]; old == nil && json.Unmarshal(row.Value, &l) == nil && l.Owner != "" {
		s.old[row.Key] = row.Value
	}
	return s.writes%every == 0, old
}
