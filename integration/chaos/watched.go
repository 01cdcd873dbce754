package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
)

// watchedStore tells of each write of a lease, and of the application's row, before it is sent and when it was answered. A worker that is killed between
// the two has told all the same what it may have written. Versions order the writes of a row without any clock.
type watchedStore struct {
	lease.Store
	worker string

	mu   sync.Mutex
	last uint64
}

// watch makes a store tell of its writes. It has the methods of the store that are asked for by type.
func watch(s lease.Store, worker string) (lease.Store, *watchedStore) {
	w := &watchedStore{Store: s, worker: worker}
	if h, ok := s.(lease.Historian); ok {
		return struct {
			*watchedStore
			lease.Historian
		}{w, h}, w
	}
	return w, w
}

// Validate is the store's own.
func (s *watchedStore) Validate() error {
	if v, ok := s.Store.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Put tells of rows and writes them.
func (s *watchedStore) Put(ctx context.Context, rows []lease.Row) []error {
	told := make([]event, len(rows))
	for i, row := range rows {
		if isLease(row.Key) || isApplication(row.Key) {
			told[i] = s.describe(row, row.Version+1)
			s.tell(told[i], sent, nil)
		}
	}
	answers := s.Store.Put(ctx, rows)
	for i, e := range told {
		if e.Row == "" {
			continue
		}
		var err error
		if answers != nil {
			err = answers[i]
		}
		s.tell(e, answered, err)
	}
	return answers
}

// Get reads rows and tells what the leases hold.
func (s *watchedStore) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	rows, err := s.Store.Get(ctx, keys)
	for _, row := range rows {
		if isLease(row.Key) && row.Version > 0 && row.Err == nil {
			s.tell(s.describe(row, row.Version), read, nil)
		}
	}
	return rows, err
}

func (s *watchedStore) tell(e event, k kind, err error) {
	e.Kind, e.At = k, torment.Clock()
	if err != nil {
		e.Text = err.Error()
	}
	_ = e.say() // a parent that is gone ends the process
}

// leaseRow is what is told of a lease, or of the application's row, which names who lists the shards.
type leaseRow struct {
	Owner, Lister     string
	Epoch, Generation uint64
	Position          checkpoint.Position
	State             string
}

func (s *watchedStore) describe(row lease.Row, version uint64) event {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	e := event{Worker: s.worker, Row: row.Key, Version: version, Write: s.last}
	var l leaseRow
	if err := json.Unmarshal(row.Value, &l); err != nil {
		e.State = "unreadable: " + err.Error()
		return e
	}
	e.Owner, e.Epoch, e.Generation, e.Position, e.State = l.Owner+l.Lister, l.Epoch, l.Generation, l.Position, l.State
	if isLease(row.Key) {
		e.Shard, _ = url.PathUnescape(row.Key[strings.LastIndexByte(row.Key, '/')+1:])
	}
	return e
}

// isLease tells whether a row is a shard's: <app>/S/<incarnation>/<shard>.
func isLease(key string) bool { return strings.Contains(key, "/S/") }

// isApplication tells whether a row is an application's: <app>/A.
func isApplication(key string) bool { return strings.HasSuffix(key, "/A") }
