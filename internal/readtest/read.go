// Package readtest reads sources in tests, and lets time pass.
package readtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// Stream is a source's stream and its shards.
func Stream(t *testing.T, s consumer.Source) (consumer.Stream, []consumer.Shard) {
	t.Helper()
	st, err := s.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shards, err := Listing(t, s, st)
	if err != nil {
		t.Fatal(err)
	}
	return st, shards
}

// Listing is what a source lists, and the error after it.
func Listing(t *testing.T, s consumer.Source, st consumer.Stream) (shards []consumer.Shard, err error) {
	t.Helper()
	for sh, e := range s.Shards(t.Context(), st) {
		if err != nil {
			t.Fatalf("something follows the error %v", err)
		}
		if err = e; e == nil {
			shards = append(shards, sh)
		}
	}
	return shards, err
}

// IDs are the IDs of shards.
func IDs(shards []consumer.Shard) []string {
	var ids []string
	for _, s := range shards {
		ids = append(ids, s.ID)
	}
	return ids
}

// ParentsFirst fails the test if a shard is listed before its parent.
func ParentsFirst(t *testing.T, shards []consumer.Shard) {
	t.Helper()
	for i, s := range shards {
		for _, parent := range s.Parents {
			if at := slices.Index(IDs(shards), parent); at > i {
				t.Errorf("%s is listed before its parent %s", s.ID, parent)
			}
		}
	}
}

// Open opens a shard.
func Open(t *testing.T, s consumer.Source, shard string, at checkpoint.Start) consumer.Reader {
	t.Helper()
	st, err := s.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), st, consumer.Shard{ID: shard}, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Next reads a page.
func Next(t *testing.T, r consumer.Reader, w consumer.Want) consumer.Page {
	t.Helper()
	p, err := r.Next(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Drain reads until n records have come, or the shard ends, and gives their sequence numbers. Errors leave the Reader usable, so it
// goes on after them, for a minute.
func Drain(t *testing.T, r consumer.Reader, n int) (places []string, last consumer.Page) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !last.End && len(places) < n {
		p, err := r.Next(ctx, consumer.Want{})
		if ctx.Err() != nil {
			t.Fatalf("after %d of %d records: %v", len(places), n, err)
		}
		if err == nil {
			last = p
			places = append(places, Places(p.Records)...)
		}
	}
	return places, last
}

// Places are the sequence numbers of records.
func Places(records []consumer.Record) []string {
	var places []string
	for _, r := range records {
		places = append(places, r.Position.Sequence())
	}
	return places
}

// Position is the position of a sequence number.
func Position(t *testing.T, seq string) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.Sequence(seq)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Advance lets time pass, in a bubble of synctest.
func Advance(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}
