//go:build engines

package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/localstack"
)

// latest is a consumer that starts at LATEST if no other did before.
func (b *bench) latest(worker string, c localstack.Clients) consumer.Config {
	cfg := b.config(worker, c)
	cfg.Start = checkpoint.Latest()
	return cfg
}

// tomorrow is clients to whom the services tell another day: who asks for LATEST again skips everything that is there.
func tomorrow(c localstack.Clients) localstack.Clients {
	return through(c, func(r *request) (*response, error) {
		resp, err := r.send()
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
}

// LATEST is resolved once. What comes while nobody consumes is read by the next worker, though no position was ever stored.
func TestHazard02_LatestIsResolvedOnce(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, b *bench) {
		first := run(t, b.latest("first", b.clients))
		for _, a := range first.awaitAssigned(t, shardCount(b, 3)) {
			if a.Start.Kind() == checkpoint.StartLatest {
				t.Errorf("shard %s starts at LATEST, which is no place", a.Shard)
			}
		}
		first.mustStop(t)
		b.put(t, keys(12), 3)
		second := run(t, b.latest("second", tomorrow(b.clients)))
		b.awaitAll(t)
		b.put(t, keys(12), 3)
		b.awaitAll(t)
		second.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// shardCount is how many open shards a stream of the bench has that was made with n: a table has one.
func shardCount(b *bench, n int) int {
	if b.service() == kinesisService {
		return n
	}
	return 1
}

// What was there before LATEST is not read, and everything after it is.
func TestLatestSkipsWhatWasThere(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	for range 5 {
		s.putText(t, "old", "-1")
	}
	pause(t, 1100*time.Millisecond) // the instant of LATEST has whole seconds
	l := run(t, b.latest("worker", b.clients))
	l.awaitAssigned(t, 2)
	b.put(t, keys(12), 3)
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	for _, d := range b.log.all() {
		if d.N < 0 {
			t.Errorf("an old record was delivered: %+v", d)
		}
	}
}

// The worker of an idle shard is killed before any record came: another one takes it over and starts where the first one would have.
func TestHazard08_IdleShardIsTakenOver(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		c := newCrew(t, b)
		victim := c.hire(t, "victim", task{Timing: hasty, Latest: true})
		eventually(t, says("the victim took no shard"), func() bool { return len(b.rows(t)) == 1 && b.rows(t)[0].Owner != "" })
		victim.kill(t)
		before := b.rows(t)[0]
		b.put(t, keys(5), 3)
		cfg := b.latest("heir", tomorrow(b.clients))
		cfg.Timing = hasty
		l := run(t, cfg)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
		if now := b.rows(t)[0]; now.Epoch <= before.Epoch {
			t.Errorf("epoch %d of the heir follows %d", now.Epoch, before.Epoch)
		}
	})
}

// A consumer that started at LATEST reads the children of its shards from their beginning, however late it hears of them.
func TestHazard03_DescendantsStartAtTheirBeginning(t *testing.T) {
	t.Parallel()
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, s := onKinesis(t, 1)
		descendants(t, b, func() { s.split(t, s.open(t)[0]) })
	})
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		b, d := onTable(t)
		descendants(t, b, func() {
			if err := d.Rollover(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func descendants(t *testing.T, b *bench, reshard func()) {
	t.Helper()
	l := run(t, b.latest("worker", b.clients))
	l.awaitAssigned(t, 1)
	b.put(t, keys(10), 2)
	b.awaitAll(t)
	l.mustStop(t)
	for range 2 {
		reshard()
		b.put(t, keys(10), 2)
	}
	l = run(t, b.latest("worker", tomorrow(b.clients)))
	b.awaitAll(t)
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
}
