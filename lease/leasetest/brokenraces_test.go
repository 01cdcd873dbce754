package leasetest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

var errDeadlock = errors.New("deadlock")

// locking has a Put lock its rows one after the other, as a transaction does, and fails the one of two that would wait for ever.
func locking(s *memlease.Store) *faulty {
	var mu sync.Mutex
	locked := map[string]bool{}
	return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
		keys := keysOf(rows)
		held := 0
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			for _, key := range keys[:held] {
				delete(locked, key)
			}
		}()
		for _, key := range keys {
			mu.Lock()
			taken := locked[key]
			locked[key] = true
			mu.Unlock()
			if taken {
				return slices.Repeat([]error{errDeadlock}, len(rows))
			}
			held++
			takingTime(ctx)
		}
		return s.Put(ctx, rows)
	}}
}

var brokenRacers = []broken{
	{"lets two delete a row", []string{"one of two removers wins"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, remove: func(ctx context.Context, rows []lease.Row) []error {
			stored, _ := s.Get(ctx, keysOf(rows))
			takingTime(ctx)
			if errs := s.Delete(ctx, rows); errs != nil && stored[0].Version != rows[0].Version {
				return errs
			}
			return nil
		}}
	}},
	{"creates over a row that is being deleted", []string{"a row is created again after it was deleted, not before"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			if errs != nil && rows[0].Version == 0 {
				return nil // as if the deletion came first
			}
			return errs
		}}
	}},
	{"deletes what was created meanwhile", []string{"a row is created again after it was deleted, not before"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, remove: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Delete(ctx, rows)
			takingTime(ctx)
			_ = s.Delete(ctx, rows)
			return errs
		}, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			takingTime(ctx)
			return errs
		}}
	}},
	{"locks rows in the order of the caller", []string{"of writers of several rows one wins each row"}, func(s *memlease.Store) lease.Store {
		return locking(s)
	}},
	{"lets both of two writers of several rows win", []string{"of writers of several rows one wins each row"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			for i := range errs {
				if i%5 == 0 {
					errs[i] = nil
				}
			}
			return errs
		}}
	}},
	{"writes one call at a time, and fails others", []string{"a writer of one row and one of many do not hinder each other"}, func(s *memlease.Store) lease.Store {
		var mu sync.Mutex
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			if !mu.TryLock() {
				return slices.Repeat([]error{errBroken}, len(rows))
			}
			defer mu.Unlock()
			takingTime(ctx)
			return s.Put(ctx, rows)
		}}
	}},
}
