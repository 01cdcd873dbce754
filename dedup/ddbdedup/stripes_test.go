//go:build engines

package ddbdedup_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

// While writes of an earlier owner conflict with the transaction of a seal all the time, it writes stripe after stripe. One that breaks off on the way has fenced some, and the next finishes: nothing is lost, and nothing done twice.
func TestASealThatConflictsFencesStripeAfterStripe(t *testing.T) {
	d := newDatabase(t)
	cfg := &ddbdedup.Config{Stripes: 8}
	s := d.sealed(t, cfg, marked(dedup.PerKey, 1, 0))
	lanes := func(epoch uint64) (ms []dedup.Mark) {
		for n := range uint64(24) {
			m := marked(dedup.PerKey, epoch, n+1)
			m.Key = fmt.Sprint("key ", n)
			ms = append(ms, m)
		}
		return ms
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stripes atomic.Int64
	conflicts := func(limit int64) {
		d.wire.on(func(op string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
			switch {
			case op == "TransactWriteItems" && strings.Count(string(body), `"Put"`) == 9: // the seal's
				return errorAnswer(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[{"Code":"TransactionConflict"}]}`)
			case op == "PutItem" && stripes.Add(1) > limit:
				cancel()
				return nil, errDown
			}
			return send(body)
		})
	}
	conflicts(5) // the row of the shard, and 4 stripes
	successor := d.sink(t, cfg)
	if _, err := successor.Seal(ctx, marked(dedup.PerKey, 2, 0)); !errors.Is(err, dedup.ErrUnsettled) {
		t.Fatalf("%v; want dedup.ErrUnsettled", err)
	}
	// The earlier owner has the other stripes yet, and what it does there is seen by the next seal.
	var applied, refused []dedup.Mark
	for _, m := range lanes(1) {
		switch _, err := d.count(t.Context(), s, m); {
		case err == nil:
			applied = append(applied, m)
		case errors.Is(err, dedup.ErrFenced):
			refused = append(refused, m)
		default:
			t.Fatal(err)
		}
	}
	if len(applied) == 0 || len(refused) == 0 {
		t.Fatalf("%d applied, %d refused; want some of both", len(applied), len(refused))
	}
	conflicts(1 << 30)
	if low, err := successor.Seal(t.Context(), marked(dedup.PerKey, 2, 0)); err != nil || !low.IsZero() {
		t.Fatalf("low is %q, %v", low, err)
	}
	for _, m := range lanes(1) {
		if _, err := d.count(t.Context(), s, m); !errors.Is(err, dedup.ErrFenced) {
			t.Errorf("%s after the seal: %v; want dedup.ErrFenced", m.Key, err)
		}
	}
	for _, m := range lanes(2) {
		if _, err := d.count(t.Context(), successor, m); err != nil {
			t.Errorf("%s: %v", m.Key, err)
		}
		d.stands(t, m, 1)
	}
}

// Owners may have different numbers of stripes: rows stay where they are, and all stripes that ever were are fenced.
func TestOwnersMayHaveDifferentStripes(t *testing.T) {
	d := newDatabase(t)
	var previous *ddbdedup.Sink
	for e, stripes := range []int{4, 64, 1, 16, 2} {
		epoch := uint64(e + 1)
		s := d.sealed(t, &ddbdedup.Config{Stripes: stripes}, marked(dedup.PerKey, epoch, 0))
		for n := range uint64(12) {
			// Record 12e + n + 1 of each key but the last is applied in this epoch; all of the one before come again.
			for _, record := range []uint64{12*(epoch-2) + n + 1, 12*(epoch-1) + n + 1} {
				if epoch == 1 && record > 12 {
					continue
				}
				m := marked(dedup.PerKey, epoch, record)
				m.Key = fmt.Sprint("key ", n)
				if _, err := d.count(t.Context(), s, m); err != nil {
					t.Fatalf("%d stripes, record %d: %v", stripes, record, err)
				}
				d.stands(t, m, 1)
				if previous != nil {
					m.Epoch--
					m.Session = fmt.Sprintf("session %d", m.Epoch)
					if _, err := d.count(t.Context(), previous, m); !errors.Is(err, dedup.ErrFenced) {
						t.Errorf("%d stripes, the owner before: %v; want dedup.ErrFenced", stripes, err)
					}
				}
			}
		}
		previous = s
	}
	before, err := d.rows(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := previous.Advance(t.Context(), marked(dedup.PerKey, 5, 60)); err != nil {
		t.Fatal(err)
	}
	after, err := d.rows(t.Context(), "app")
	if err != nil || before-after != 12 || after != 65 {
		t.Errorf("%d rows, then %d, %v; want 12 fewer, and 65: the seal and 64 stripes", before, after, err)
	}
}

// Many lanes at once, with answers lost: each effect stands once.
func TestManyLanesAtOnceWithLostAnswers(t *testing.T) {
	d := newDatabase(t)
	s := d.sealed(t, nil, marked(dedup.PerKey, 1, 0))
	var n atomic.Int64
	d.wire.on(func(_ string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
		switch n.Add(1) % 5 {
		case 0:
			return nil, errLost
		case 1:
			resp, err := send(body)
			if err != nil {
				return nil, err
			}
			return nil, errors.Join(errLost, resp.Body.Close())
		}
		return send(body)
	})
	const keys, each = 16, 5
	var wg sync.WaitGroup
	for key := range uint64(keys) {
		wg.Go(func() {
			for i := range uint64(each) {
				m := marked(dedup.PerKey, 1, i*keys+key+1)
				m.Key = fmt.Sprint("key ", key)
				if _, err := d.count(t.Context(), s, m); err != nil {
					t.Errorf("%s: %v", m.Key, err)
				}
			}
		})
	}
	wg.Wait()
	for i := range uint64(keys * each) {
		d.stands(t, marked(dedup.PerKey, 1, i+1), 1)
	}
	if err := s.Advance(t.Context(), marked(dedup.PerKey, 1, keys*each)); err != nil {
		t.Fatal(err)
	}
	if n, err := d.rows(t.Context(), "app"); n != 17 || err != nil {
		t.Errorf("%d rows, %v; want the seal and its stripes", n, err)
	}
}

// Keys and names may be longer than DynamoDB takes, and have any bytes.
func TestLongNamesAndKeys(t *testing.T) {
	d := newDatabase(t)
	long := strings.Repeat("name \x00\xff#%", 200)
	of := func(epoch, n uint64, key string) dedup.Mark {
		m := marked(dedup.PerKey, epoch, n)
		m.Stream, m.Shard, m.Key = long, long+"s", key
		return m
	}
	s := d.sealed(t, nil, of(1, 0, ""))
	keys := []string{strings.Repeat("k", 1022), strings.Repeat("k", 1023), strings.Repeat("k", 1024), strings.Repeat("k", 100_000), strings.Repeat("k", 100_000) + "\x00", "", "\xff", "\x00"}
	for n, key := range slices.Backward(keys) { // one that is taken for another comes behind it
		m := of(1, uint64(n+1), key)
		if calls, err := d.count(t.Context(), s, m); calls != 1 || err != nil {
			t.Fatalf("a key of %d bytes: %d calls, %v", len(key), calls, err)
		}
	}
	next := d.sealed(t, nil, of(2, 0, ""))
	for n, key := range keys {
		if calls, err := d.count(t.Context(), next, of(2, uint64(n+1), key)); calls != 0 || err != nil {
			t.Errorf("a key of %d bytes: %d calls, %v; want a repeat", len(key), calls, err)
		}
	}
}
