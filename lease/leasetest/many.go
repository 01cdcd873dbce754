package leasetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/lease"
)

const (
	manyRows    = 10_000
	manyRemoved = 1000 // of them, spread evenly; to delete them all takes a slow store as long as to create them, and shows no more
	manyBatch   = 25   // as package lease writes them
	manyAtOnce  = 4
)

// many has as many rows in a group as a large stream has shards.
func many(s *scene) {
	s.ready()
	rows := make([]lease.Row, manyRows)
	for i := range rows {
		rows[i] = s.row(fmt.Sprintf("a/shardId-%012d", i), 0)
	}
	s.batches("Put", rows, s.store.Put)
	for i := range rows {
		rows[i].Version = 1
	}
	s.eventually(func() string { return differing(s.list(s.key("a/"), ""), rows) }, "List of %d rows", manyRows)
	after := slices.MaxFunc(s.list(s.key("a/"), ""), func(a, b lease.Row) int { return strings.Compare(a.Cursor, b.Cursor) }).Cursor
	var changed []lease.Row
	for i := range 10 {
		row := rows[i*manyRows/10+7]
		row.Version = 1
		changed = append(changed, row)
	}
	s.put(changed...)
	s.eventually(func() string {
		listed := map[string]uint64{}
		for _, row := range s.list(s.key("a/"), after) {
			listed[row.Key] = row.Version
		}
		for _, row := range changed {
			if listed[row.Key] != 2 {
				return fmt.Sprintf("%q is listed with version %d; want 2", row.Key, listed[row.Key])
			}
		}
		return ""
	}, "List after %q of %d rows, when %d were changed", after, manyRows, len(changed))
	for _, row := range changed {
		i, _ := slices.BinarySearchFunc(rows, row.Key, func(r lease.Row, key string) int { return strings.Compare(r.Key, key) })
		rows[i].Version = 2
	}
	var removed, left []lease.Row
	for i, row := range rows {
		if i%(manyRows/manyRemoved) == 7 {
			removed = append(removed, row)
		} else {
			left = append(left, row)
		}
	}
	s.batches("Delete", removed, s.store.Delete)
	s.eventually(func() string { return differing(s.list(s.key("a/"), ""), left) }, "List of %d rows, when %d were deleted", manyRows, len(removed))
}

// batches sends rows, some calls at once, and wants all of them written.
func (s *scene) batches(what string, rows []lease.Row, send func(context.Context, []lease.Row) []error) {
	s.Helper()
	work := make(chan []lease.Row)
	var wg sync.WaitGroup
	failed := make([][]error, manyAtOnce)
	for i := range manyAtOnce {
		wg.Go(func() {
			for batch := range work {
				if failed[i] == nil {
					failed[i] = send(s.Context(), batch)
				}
			}
		})
	}
	for batch := range slices.Chunk(rows, manyBatch) {
		work <- batch
	}
	close(work)
	wg.Wait()
	if err := errors.Join(slices.Concat(failed...)...); err != nil {
		s.Fatalf("%s of %d rows, %d a call: %v", what, len(rows), manyBatch, err)
	}
}

// differing tells where a sorted listing has other keys or versions than rows.
func differing(listed, rows []lease.Row) string {
	for i := range min(len(listed), len(rows)) {
		if listed[i].Key != rows[i].Key || listed[i].Version != rows[i].Version {
			return fmt.Sprintf("row %d is %q, version %d; want %q, version %d", i, listed[i].Key, listed[i].Version, rows[i].Key, rows[i].Version)
		}
	}
	if len(listed) != len(rows) {
		return fmt.Sprintf("it has %d rows", len(listed))
	}
	return ""
}
