package ddbsource_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

func TestValidateJoinsAllFaults(t *testing.T) {
	f := newFake()
	for name, c := range map[string]struct {
		source *ddbsource.Source
		want   []string
	}{
		"nothing":   {ddbsource.New(nil, nil, "", nil), []string{"client of DynamoDB is nil", "client of DynamoDB Streams is nil", "no name"}},
		"negative":  {f.source(&ddbsource.Config{Busy: -1, Idle: -1, Timeout: -1}), []string{"Config.Busy", "Config.Idle", "Config.Timeout"}},
		"reversed":  {f.source(&ddbsource.Config{Idle: time.Millisecond}), []string{"Config.Idle is 1ms, shorter than Busy"}},
		"table ARN": {f.source(&ddbsource.Config{StreamARN: "arn:aws:dynamodb:us-east-1:1:table/orders"}), []string{"Config.StreamARN"}},
		"stream":    {ddbsource.New(nil, nil, arn, nil), []string{"is a stream, not a table"}},
	} {
		err := c.source.Validate()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Validate is %v, want a fault that says %q", name, err, want)
			}
		}
		if _, got := c.source.Stream(t.Context()); err == nil || got == nil || got.Error() != err.Error() {
			t.Errorf("%s: Stream gives %v, want what Validate says: %v", name, got, err)
		}
	}
	if calls := f.Calls(); len(calls) != 0 {
		t.Errorf("%d requests were made, want none", len(calls))
	}
}

func TestEveryCallValidatesFirst(t *testing.T) {
	s := ddbsource.New(nil, nil, "", nil)
	want := s.Validate().Error()
	_, stream := s.Stream(t.Context())
	_, shards := readtest.Listing(t, s, consumer.Stream{})
	_, pin := s.Pin(t.Context(), consumer.Stream{}, checkpoint.Latest())
	_, open := s.Open(t.Context(), consumer.Stream{}, consumer.Shard{}, checkpoint.Start{})
	for _, err := range []error{stream, shards, pin, open} {
		if err == nil || err.Error() != want {
			t.Errorf("a call gives %v, want %s", err, want)
		}
	}
}

func TestStreamIsTheTablesLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		want := consumer.Stream{Name: "orders", Incarnation: arn, Retention: 24 * time.Hour, KeyOrder: true}
		for _, status := range []string{"ENABLED", "DISABLED"} { // what is left in a disabled stream can be read
			f.status = status
			if got, _ := readtest.Stream(t, f.source(nil)); got != want {
				t.Errorf("%s: the stream is %+v, want %+v", status, got, want)
			}
		}
	})
}

func TestOlderStreamIsReadByItsARN(t *testing.T) {
	f := newFake(holding(shardID(0), 3))
	f.arn = oldARN
	s := ddbsource.New(nil, dynamodbstreams.NewFromConfig(f.Config()), "orders", &ddbsource.Config{StreamARN: oldARN})
	st, _ := readtest.Stream(t, s)
	if st.Incarnation != oldARN || st.Name != "orders" {
		t.Errorf("the stream is %+v, want the older one", st)
	}
	p := readtest.Next(t, readtest.Open(t, s, shardID(0), checkpoint.Start{}), consumer.Want{})
	if len(p.Records) != 3 || p.Records[0].Stream != oldARN {
		t.Errorf("the older stream gives %+v", p.Records)
	}
}

func TestNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			change func(f *fake)
			want   string
		}{
			"no table":    {func(f *fake) { f.table = false }, "us-east-1"},
			"not enabled": {func(f *fake) { f.latest = "" }, "StreamViewType"},
			"long over":   {func(f *fake) { f.arn = "" }, arn},
		} {
			f := newFake()
			c.change(f)
			_, err := f.source(nil).Stream(t.Context())
			if !errors.Is(err, consumer.ErrNoStream) || !strings.Contains(err.Error(), "orders") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want ErrNoStream for orders that says %q", name, err, c.want)
			}
		}
	})
}

func TestWrongCredentialsAreDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []string{
			"UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException", "ExpiredTokenException",
			"IncompleteSignatureException", "MissingAuthenticationTokenException",
		} {
			for _, op := range []string{"DescribeTable", "DescribeStream", "GetShardIterator", "GetRecords"} {
				f := newFake(holding(shardID(0), 1))
				f.fail(op, slices.Repeat([]awsstub.Answer{awsstub.Fail(400, code)}, 9)...)
				err := use(t.Context(), f.source(nil))
				if !errors.Is(err, consumer.ErrDenied) || !strings.Contains(err.Error(), "orders") {
					t.Errorf("%s answered with %s: %v, want ErrDenied for orders", op, code, err)
				}
			}
		}
	})
}

// use makes every call once.
func use(ctx context.Context, s *ddbsource.Source) error {
	st, err := s.Stream(ctx)
	if err != nil {
		return err
	}
	for sh, err := range s.Shards(ctx, st) {
		if err != nil {
			return err
		}
		r, err := s.Open(ctx, st, sh, checkpoint.Start{})
		if err != nil {
			return err
		}
		if _, err := r.Next(ctx, consumer.Want{}); err != nil {
			return err
		}
	}
	return nil
}

func TestHazard02_LatestIsPinnedToTheServicesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 1))
		s := f.source(nil)
		st, _ := readtest.Stream(t, s)
		readtest.Advance(t, 700*time.Millisecond)
		at, err := s.Pin(t.Context(), st, checkpoint.Latest())
		if now := time.Now(); err != nil || at != checkpoint.AtTime(now.Truncate(time.Second)) {
			t.Errorf("LATEST at %v is pinned to %v, %v, want the second before it", now, at, err)
		}
		usual := f.Service.Answer
		f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
			a := usual(c)
			a.Undated = true
			return a
		}
		if at, err := s.Pin(t.Context(), st, checkpoint.Latest()); err == nil {
			t.Errorf("without a Date LATEST is pinned to %v, want an error", at)
		}
	})
}
