//go:build engines

package integration

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/runnelhq/runnel/consumer"
)

// Shards are split and merged while two workers consume: every key stays in order across them.
func TestSplitsAndMergesKeepTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	stop := b.putting(t, keys(20), 100*time.Millisecond)
	all := []*local{run(t, b.config("a", b.clients)), run(t, b.config("b", b.clients))}
	b.awaitSome(t, 100)
	s.split(t, s.open(t)[0])
	b.awaitSome(t, b.log.distinct()+100)
	open := s.open(t)
	s.merge(t, open[0], open[1])
	s.split(t, s.open(t)[1])
	b.awaitSome(t, b.log.distinct()+100)
	open = s.open(t)
	s.merge(t, open[1], open[2])
	b.awaitSome(t, b.log.distinct()+100)
	stop()
	b.awaitAll(t)
	for _, l := range all {
		l.mustStop(t)
	}
	b.log.check(t)
	b.log.checkNoRepeats(t)
	if got := len(shards(b.log.all())); got < 6 {
		t.Errorf("records came from %d shards: too few were split and merged", got)
	}
}

// The table's shard is rolled over four times under load.
func TestRollOversKeepTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	b, d := onTable(t)
	stop := b.putting(t, keys(10), 100*time.Millisecond)
	all := []*local{run(t, b.config("a", b.clients)), run(t, b.config("b", b.clients))}
	for range 4 {
		b.awaitSome(t, b.log.distinct()+50)
		if err := d.Rollover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.awaitSome(t, b.log.distinct()+50)
	stop()
	b.awaitAll(t)
	for _, l := range all {
		l.mustStop(t)
	}
	b.log.check(t)
	b.log.checkNoRepeats(t)
	if got := len(shards(b.log.all())); got < 5 {
		t.Errorf("records came from %d shards, want those of four roll-overs", got)
	}
}

// Shards that closed before anybody consumed are read first, and then their children; a restart in the middle does not change that.
func TestHazard09_ClosedShardsAreReadBeforeTheirChildren(t *testing.T) {
	t.Parallel()
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, s := onKinesis(t, 1)
		closedShards(t, b, func() { s.split(t, s.open(t)[0]) })
	})
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		b, d := onTable(t)
		closedShards(t, b, func() {
			if err := d.Rollover(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func closedShards(t *testing.T, b *bench, reshard func()) {
	t.Helper()
	for range 2 {
		b.put(t, keys(10), 10)
		reshard()
	}
	b.put(t, keys(10), 10)
	cfg := b.config("slow", b.clients)
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if err := after(ctx, 5*time.Millisecond); err != nil {
			return err
		}
		return b.handle("slow", r)
	})
	l := run(t, cfg)
	b.awaitSome(t, 30)
	l.mustStop(t)
	if n := b.log.distinct(); n == 300 {
		t.Fatal("everything was handled before the restart")
	}
	again := run(t, b.config("again", b.clients))
	b.awaitAll(t)
	again.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}

// The handler is held in one parent of a merge while the other has ended: the child must wait.
func TestHazard11_BothParentsOfAMergeEndFirst(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	b.put(t, keys(20), 2)
	open := s.open(t)
	held := aws.ToString(open[1].ShardId)
	release := make(chan struct{})
	cfg := b.config("worker", b.clients)
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if r.Shard == held {
			select {
			case <-release:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return b.handle("worker", r)
	})
	l := run(t, cfg)
	s.merge(t, open[0], open[1])
	b.put(t, keys(20), 2)
	child := aws.ToString(s.open(t)[0].ShardId)
	eventually(t, says("the parent %s has not ended", aws.ToString(open[0].ShardId)), func() bool {
		return some(l.events, &l.lost, func(e consumer.Lost) bool {
			return e.Shard == aws.ToString(open[0].ShardId) && e.Reason == consumer.ReasonEnded
		})
	})
	pause(t, 3*steady.List/2)
	if slices.Contains(shards(b.log.all()), child) || some(l.events, &l.assigned, func(e consumer.Assigned) bool { return e.Shard == child }) {
		t.Errorf("the child %s was taken before its parent %s had ended", child, held)
	}
	close(release)
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}

// Finished leases stay: a restart does not read again what has ended.
func TestHazard14_FinishedShardsAreNotReplayed(t *testing.T) {
	t.Parallel()
	b, d := onTable(t)
	b.put(t, keys(5), 4)
	if err := d.Rollover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.put(t, keys(5), 2)
		l := run(t, b.config("worker", b.clients))
		b.awaitAll(t)
		l.awaitAssigned(t, 1)
		pause(t, 3*steady.List/2)
		l.mustStop(t)
	}
	b.log.check(t)
	b.log.checkNoRepeats(t)
}

// A page whose next iterator is nil has the last records of its shard: they are handled before the shard ends.
func TestHazard06_LastPageIsDelivered(t *testing.T) {
	t.Parallel()
	b, d := onTable(t)
	var (
		mu   sync.Mutex
		last int // pages with records and without a next iterator
	)
	watched := through(b.clients, func(r *request) (*response, error) {
		if r.Op != "GetRecords" {
			return r.send()
		}
		return r.rewritten(func(_ int, body []byte) []byte {
			if page := readPage(body); len(page.Records) > 0 && page.NextShardIterator == "" {
				mu.Lock()
				last++
				mu.Unlock()
			}
			return body
		})
	})
	b.put(t, keys(5), 4)
	if err := d.Rollover(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.put(t, keys(5), 4)
	l := run(t, b.config("worker", watched))
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
	mu.Lock()
	defer mu.Unlock()
	if last == 0 {
		t.Error("no last page had records: nothing was tested")
	}
}
