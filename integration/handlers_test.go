//go:build engines

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
)

var errHandler = errors.New("the handler fails")

// A handler fails fifty times at one record, half of them by a panic. Its position does not pass that record, other shards go on, and then
// everything is handled.
func TestHazard01_FailingRecordHoldsItsPosition(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, b *bench) {
		const failures = 50
		victim := item{"key-05", 2}
		blocked := make(chan struct{}) // the failures go on until it is closed
		cfg := b.config("worker", b.clients)
		cfg.Checkpoint = checkpoint.EveryRecord{}
		cfg.Failure = consumer.Failure{Backoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			it, err := b.read(r)
			if err != nil {
				return err
			}
			if it == victim && (r.Attempt <= failures || open(blocked)) {
				if r.Attempt%2 == 0 {
					panic(errHandler)
				}
				return errHandler
			}
			return b.handle("worker", r)
		})
		b.put(t, keys(12), 5)
		l := run(t, cfg)
		eventually(t, says("the record did not fail %d times", failures), func() bool {
			return some(l.events, &l.retried, func(e consumer.Retried) bool { return e.Attempt >= failures })
		})
		failed := told(l.events, &l.retried)[0]
		if !errors.Is(failed.Err, errHandler) {
			t.Errorf("the failure is %v", failed.Err)
		}
		if stored := b.row(t, failed.Shard); !stored.Position.Before(failed.Position) {
			t.Errorf("the position passed the failing record: %s", stored.text)
		}
		eventually(t, says("other shards did not go on"), func() bool {
			for _, d := range b.missing() {
				if !sameShard(b, d.Key, victim.Key) {
					return false
				}
			}
			return true
		})
		if s := l.consumer.Status(); !failing(s, failed.Shard) {
			t.Errorf("the status does not tell of the failure: %+v", s.Shards)
		}
		close(blocked)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

func open(c chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

func failing(s consumer.Status, shard string) bool {
	for _, sh := range s.Shards {
		if sh.Shard == shard {
			return errors.Is(sh.Failing, errHandler) && sh.Attempt > 0
		}
	}
	return false
}

// sameShard tells whether two keys are in one shard, by what was handled and where.
func sameShard(b *bench, x, y string) bool {
	where := make(map[string]string)
	for _, d := range b.log.all() {
		where[d.Key] = d.Shard
	}
	return where[x] != "" && where[x] == where[y]
}

// document is what the tests of undecodable records take their data for.
type document struct {
	N int `json:"n"`
}

// A record that cannot be decoded is a failing record: it is named, its shard waits and nothing is skipped.
func TestUndecodableRecordHoldsItsShard(t *testing.T) {
	t.Parallel()
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		b, s := onKinesis(t, 2)
		handled := newDeliveries()
		cfg := b.config("worker", b.clients)
		cfg.Checkpoint = checkpoint.EveryRecord{}
		cfg.Handler = consumer.JSON(func(_ context.Context, v document, r consumer.Record) error {
			handled.note(delivery{Shard: r.Shard, Position: r.Position.Sort(), Key: r.Key, N: v.N})
			return nil
		})
		bad := s.putText(t, "a", `{"n":1}`)
		s.putText(t, "a", `{"n":`)
		s.putText(t, "a", `{"n":3}`)
		other := ""
		for _, key := range keys(20) {
			if shard := s.putText(t, key, `{"n":9}`); shard != bad {
				other = key
			}
		}
		l := run(t, cfg)
		eventually(t, says("the other shard did not go on"), func() bool { return handled.has(item{other, 9}) })
		undecodable(t, b, l, bad, "no JSON")
		if handled.has(item{"a", 3}) {
			t.Error("a record behind the one that cannot be decoded was handled")
		}
	})
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		tab := newTable(t, stack.Clients, "NEW_IMAGE")
		b := newBench(t, stack.Clients, tab)
		handled := newDeliveries()
		cfg := b.config("worker", b.clients)
		cfg.Checkpoint = checkpoint.EveryRecord{}
		cfg.Handler = ddbsource.Each(func(_ context.Context, c ddbsource.Change[row]) error {
			handled.note(delivery{Shard: c.Record.Shard, Position: c.Record.Position.Sort(), Key: c.New.ID, N: c.New.N})
			return nil
		})
		tab.putAttribute(t, "a", &types.AttributeValueMemberN{Value: "1"})
		tab.putAttribute(t, "a", &types.AttributeValueMemberS{Value: "two"})
		tab.putAttribute(t, "a", &types.AttributeValueMemberN{Value: "3"})
		l := run(t, cfg)
		undecodable(t, b, l, tab.openShard(t, b.clients), `attribute "n"`)
		if !handled.has(item{"a", 1}) || handled.has(item{"a", 3}) {
			t.Errorf("handled %v, want the first value alone", handled.all())
		}
	})
}

func (l *deliveries) has(it item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[it] > 0
}

// undecodable waits for the failure of a record of the shard, which must name what is wrong, and looks that nothing moved past it.
func undecodable(t *testing.T, b *bench, l *local, shard, says string) {
	t.Helper()
	var e consumer.Retried
	eventually(t, func() string { return "no failure was told" }, func() bool {
		all := told(l.events, &l.retried)
		if len(all) < 5 {
			return false
		}
		e = all[len(all)-1]
		return true
	})
	var decode *consumer.DecodeError
	if !errors.As(e.Err, &decode) || decode.Shard != shard || decode.Position != e.Position || !strings.Contains(e.Err.Error(), says) {
		t.Errorf("the failure is %v, want one that names shard %s, the position and %s", e.Err, shard, says)
	}
	l.mustStop(t)
	if stored := b.row(t, shard); stored.Position.IsZero() || !stored.Position.Before(e.Position) {
		t.Errorf("the stored position is %s, want the one before %s", stored.Position, e.Position)
	}
}

// A shard whose handler is stuck holds no more than its bounds, and the others go on.
func TestHazard23_StuckShardIsBounded(t *testing.T) {
	t.Parallel()
	b, s := onKinesis(t, 2)
	b.put(t, keys(100), 10)
	shardOf := s.keyed(t)
	stuck := aws.ToString(s.open(t)[0].ShardId)
	release := make(chan struct{})
	budget := consumer.NewBudget(256 << 10)
	cfg := b.config("worker", b.clients)
	cfg.Flow = consumer.Flow{Budget: budget, Records: 50}
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if r.Shard == stuck {
			select {
			case <-release:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return b.handle("worker", r)
	})
	l := run(t, cfg)
	over := func() error {
		for _, sh := range l.consumer.Status().Shards {
			if sh.InFlight > cfg.Flow.Records {
				return fmt.Errorf("shard %s has %d records in flight, want at most %d", sh.Shard, sh.InFlight, cfg.Flow.Records)
			}
		}
		if used := budget.Used(); used > budget.Limit() {
			return fmt.Errorf("%d bytes are in flight, want at most %d", used, budget.Limit())
		}
		return nil
	}
	eventually(t, says("the other shard did not go on"), func() bool {
		if err := over(); err != nil {
			t.Fatal(err)
		}
		for _, it := range b.missing() {
			if shardOf(it.Key) != stuck {
				return false
			}
		}
		return true
	})
	eventually(t, says("the stuck shard was not read"), func() bool {
		for _, sh := range l.consumer.Status().Shards {
			if sh.Shard == stuck && sh.InFlight > 0 {
				return true
			}
		}
		return false
	})
	pause(t, time.Second) // in which it could read on
	if err := over(); err != nil {
		t.Fatal(err)
	}
	close(release)
	eventually(t, says("the stuck shard did not go on"), func() bool {
		if err := over(); err != nil {
			t.Fatal(err)
		}
		return len(b.missing()) == 0
	})
	l.mustStop(t)
	b.log.check(t)
	b.log.checkNoRepeats(t)
	if used := budget.Used(); used != 0 {
		t.Errorf("%d bytes are counted after the end", used)
	}
}
