//go:build engines

package integration

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer"
)

// A stream of Kinesis takes its records with it.
func TestStreamDeletedWhileConsuming(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	b.put(t, keys(12), 2)
	l := run(t, b.config("worker", b.clients))
	b.awaitAll(t)
	if err := s.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.returns(t); !errors.Is(err, consumer.ErrNoStream) {
		t.Errorf("Run returned %v, want %v", err, consumer.ErrNoStream)
	}
	for _, r := range b.rows(t) {
		if r.Owner != "" || r.Position.IsZero() {
			t.Errorf("a shard was not given up with its position: %s", r.text)
		}
	}
	b.log.check(t)
	b.log.checkNoRepeats(t)
}

// The stream of a table outlives it: what is left is read, to its end, while an error says that the table is gone.
func TestTableDeletedWhileConsuming(t *testing.T) {
	t.Parallel()
	tab := newTable(t, stack.Clients, "NEW_IMAGE")
	b := newBench(t, stack.Clients, tab)
	b.put(t, keys(12), 10)
	gone := make(chan struct{})
	cfg := b.config("worker", b.clients)
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if b.log.distinct() == 10 {
			select {
			case <-gone:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return b.handle("worker", r)
	})
	l := run(t, cfg)
	b.awaitSome(t, 10)
	if _, err := tab.client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &tab.table}); err != nil {
		t.Fatal(err)
	}
	eventually(t, says("no error says that the table is gone"), func() bool {
		return some(l.events, &l.failed, func(e consumer.Failed) bool { return errors.Is(e.Err, consumer.ErrNoStream) })
	})
	close(gone)
	b.awaitAll(t)
	eventually(t, says("the shard has not ended"), func() bool { return b.rows(t)[0].State == "ended" })
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}

// A table's stream is disabled and enabled again while it is consumed: what is left in the old one is not repeated, the new one is read from
// its beginning, and the leases of the old one stay.
func TestStreamEnabledAnew(t *testing.T) {
	t.Parallel()
	tab := newTable(t, stack.Clients, "NEW_IMAGE")
	b := newBench(t, stack.Clients, tab)
	b.put(t, keys(5), 2)
	l := run(t, b.config("worker", b.clients))
	b.awaitAll(t)
	if err := b.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	tab.active(t)
	err := tab.enable(t.Context(), &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages})
	if err != nil {
		t.Fatal(err)
	}
	tab.active(t)
	b.put(t, keys(5), 2)
	b.awaitAll(t)
	l.mustStop(t)
	checkAnew(t, b, l)
}

// A stream of Kinesis is deleted and made again under its name while nobody consumes: it is another stream, read from its beginning.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	b.put(t, keys(5), 2)
	l := run(t, b.config("before", b.clients))
	b.awaitAll(t)
	l.mustStop(t)
	if err := s.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, says("the stream is not gone"), func() bool { return s.gone(t) })
	s.create(t, 2)
	b.put(t, keys(5), 2)
	l = run(t, b.config("after", b.clients))
	b.awaitAll(t)
	l.mustStop(t)
	checkAnew(t, b, l)
}

// checkAnew holds what was handled, and the leases, against a stream that was made anew once.
func checkAnew(t *testing.T, b *bench, l *local) {
	t.Helper()
	all := b.log.all()
	checkKeys(t, all)
	checkNoRepeatsOfItems(t, b)
	var incarnations []string
	for _, r := range b.rows(t) {
		if !slices.Contains(incarnations, r.Incarnation) {
			incarnations = append(incarnations, r.Incarnation)
		}
		if r.Owner != "" {
			t.Errorf("a lease was not released: %s", r.text)
		}
	}
	if len(incarnations) != 2 {
		t.Errorf("leases of the incarnations %q, want two", incarnations)
	}
	for _, i := range incarnations {
		if !slices.ContainsFunc(all, func(d delivery) bool { return d.Stream == i }) {
			t.Errorf("no record of %s was handled", i)
		}
	}
	if !some(l.events, &l.assigned, func(e consumer.Assigned) bool { return e.Epoch > 0 && e.Start.String() == "TRIM_HORIZON" }) {
		t.Errorf("the new stream is not read from its beginning: %+v", told(l.events, &l.assigned))
	}
}

// checkNoRepeatsOfItems is checkNoRepeats where positions of two streams of one name may be alike.
func checkNoRepeatsOfItems(t *testing.T, b *bench) {
	t.Helper()
	if all := b.log.all(); len(all) != b.log.distinct() {
		t.Errorf("%d deliveries of %d items", len(all), b.log.distinct())
	}
}
