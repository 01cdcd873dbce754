//go:build engines

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// item is what the tests put: the n-th value of a key, counted from 0.
type item struct {
	Key string
	N   int
}

// stream is a stream of either service.
type stream interface {
	service() string // "Kinesis" or "DynamoDB"
	name() string
	source(c localstack.Clients) consumer.Source
	// put adds items of different keys.
	put(ctx context.Context, items []item) error
	read(r consumer.Record) (item, error)
	remove(ctx context.Context) error
}

// streamOf is a stream that another process made.
func streamOf(service, name string, c localstack.Clients) stream {
	if service == kinesisService {
		return &kinesisStream{client: c.Kinesis(), stream: name}
	}
	return &table{client: c.DynamoDB(), table: name}
}

// unique is a name that no other test has, of this run or another.
func unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

// keys are n keys.
func keys(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("key-%02d", i)
	}
	return all
}

// bench is what one test works on: a stream, a lease table, and what was put and handled.
type bench struct {
	stream
	clients localstack.Clients // of the stream and of the leases, without faults
	app     string
	leases  string // the lease table
	log     *deliveries

	mu   sync.Mutex
	sent map[string]int // by key: how many were put
}

func newBench(t *testing.T, c localstack.Clients, s stream) *bench {
	t.Helper()
	b := &bench{
		stream: s, clients: c, app: unique("app"), leases: unique("leases"),
		log: newDeliveries(), sent: make(map[string]int),
	}
	if err := ddblease.New(c.DynamoDB(), b.leases, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropTable(t, c, b.leases) })
	return b
}

// put adds n values to each key, all keys in turn.
func (b *bench) put(t *testing.T, keys []string, n int) {
	t.Helper()
	for range n {
		if err := b.putOnce(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) putOnce(ctx context.Context, keys []string) error {
	items := make([]item, len(keys))
	b.mu.Lock()
	for i, key := range keys {
		items[i] = item{key, b.sent[key]}
	}
	b.mu.Unlock()
	if err := b.stream.put(ctx, items); err != nil {
		return fmt.Errorf("put %d items into %s: %w", len(items), b.name(), err)
	}
	b.mu.Lock()
	for _, key := range keys {
		b.sent[key]++
	}
	b.mu.Unlock()
	return nil
}

// backlog is how many items may wait to be handled before putting waits: an endpoint that is slow must not make a test long.
const backlog = 60

// putting puts values until it is stopped, with a wait between them. The stop waits for the last.
func (b *bench) putting(t *testing.T, keys []string, wait time.Duration) (stop func()) {
	t.Helper()
	return b.puttingBehind(t, keys, wait, func(context.Context) ([]item, error) { return b.missing(), nil })
}

// puttingBehind is putting where other items than the missing ones wait to be handled.
func (b *bench) puttingBehind(t *testing.T, keys []string, wait time.Duration, waiting func(ctx context.Context) ([]item, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(wait)
		defer tick.Stop()
		for {
			// A call that is cut off may have been applied: only the waits are.
			uncut := context.WithoutCancel(ctx)
			late, err := waiting(uncut)
			if err == nil && len(late) < backlog {
				err = b.putOnce(uncut, keys)
			}
			if err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				done <- nil
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// missing are the items that were put and not handled.
func (b *bench) missing() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.lacks(b.sent)
}

// from are an item and those of its key that were put behind it.
func (b *bench) from(it item) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []item
	for n := it.N; n < b.sent[it.Key]; n++ {
		all = append(all, item{it.Key, n})
	}
	return all
}

// awaitAll waits until everything that was put was handled.
func (b *bench) awaitAll(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		missing := b.missing()
		return fmt.Sprintf("%d items are missing, such as %v\n%s", len(missing), missing[:min(len(missing), 5)], b.log)
	}, func() bool { return len(b.missing()) == 0 })
}

// awaitSome waits until n items were handled.
func (b *bench) awaitSome(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() string { return fmt.Sprintf("%d items were handled, want %d", b.log.distinct(), n) },
		func() bool { return b.log.distinct() >= n })
}

// steady are timings for tests in which no lease expires: an overloaded machine must not make one lapse.
var steady = lease.Timing{
	Heartbeat: time.Second, Expiry: 30 * time.Second, Poll: time.Second, Request: 5 * time.Second,
	List: 2 * time.Second, Settle: time.Second,
}

// hasty are timings for tests that wait until a lease expires.
var hasty = lease.Timing{
	Heartbeat: 500 * time.Millisecond, Expiry: 6 * time.Second, Poll: 400 * time.Millisecond, Request: 2 * time.Second,
	List: 2 * time.Second, Settle: time.Second,
}

// config is a consumer of the bench's stream that notes what it handles.
func (b *bench) config(worker string, c localstack.Clients) consumer.Config {
	return consumer.Config{
		Name: b.app, Worker: worker,
		Source: b.source(c), Leases: ddblease.New(c.DynamoDB(), b.leases, nil),
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error { return b.handle(worker, r) }),
		Timing:  steady,
		Failure: consumer.Failure{Backoff: 20 * time.Millisecond, MaxBackoff: 500 * time.Millisecond},
		Stop:    consumer.Stop{Drain: 10 * time.Second, Grace: 15 * time.Second},
	}
}

// handle notes that a record was handled.
func (b *bench) handle(worker string, r consumer.Record) error {
	d, err := deliveryOf(worker, b.stream, r)
	if err == nil {
		b.log.note(d)
	}
	return err
}
