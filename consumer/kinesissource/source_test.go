package kinesissource_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/readtest"
)

func TestValidateJoinsAllFaults(t *testing.T) {
	f := newFake()
	for name, c := range map[string]struct {
		source *kinesissource.Source
		want   []string
	}{
		"nothing":             {kinesissource.New(nil, "", nil), []string{"client is nil", "no name"}},
		"negative":            {f.source(&kinesissource.Config{Busy: -1, Idle: -1, Timeout: -1}), []string{"Config.Busy", "Config.Idle", "Config.Timeout"}},
		"reversed":            {f.source(&kinesissource.Config{Busy: time.Second, Idle: time.Millisecond}), []string{"Config.Idle is 1ms, shorter than Busy"}},
		"reversed by default": {f.source(&kinesissource.Config{Idle: time.Millisecond}), []string{"shorter than Busy"}},
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
	if err := f.source(&kinesissource.Config{Busy: time.Minute}).Validate(); err != nil {
		t.Errorf("a Busy longer than the default of Idle: %v", err)
	}
	if calls := f.Calls(); len(calls) != 0 {
		t.Errorf("%d requests were made, want none", len(calls))
	}
}

func TestEveryCallValidatesFirst(t *testing.T) {
	s := kinesissource.New(nil, "", nil)
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

func TestStreamIsNamedByARNAndCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		s := f.source(nil)
		got, _ := readtest.Stream(t, s)
		want := consumer.Stream{Name: "orders", Incarnation: arn + "@1999-12-31T23:00:00.000Z", Retention: 48 * time.Hour, KeyOrder: true}
		if got != want {
			t.Errorf("the stream is %+v, want %+v", got, want)
		}
		f.do(func() { f.mode = "AUTO"; f.created = time.Now() })
		if got, _ = readtest.Stream(t, s); got.KeyOrder || got.Incarnation == want.Incarnation {
			t.Errorf("made anew with automatic distribution, the stream is %+v", got)
		}
	})
}

func TestStreamByARN(t *testing.T) {
	f := newFake(holding(shardID(0), 1))
	s := kinesissource.New(f.client(), arn, nil)
	st, shards := readtest.Stream(t, s)
	r, err := s.Open(t.Context(), st, shards[0], checkpoint.Start{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context(), consumer.Want{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Calls() {
		if c.Text("StreamARN") != arn || c.Text("StreamName") != "" {
			t.Errorf("%s names the stream %v, want its ARN alone", c.Op, c.In)
		}
	}
}

func TestNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for _, status := range []string{"", "DELETING"} {
			f.do(func() { f.status = status })
			_, err := f.source(nil).Stream(t.Context())
			if !errors.Is(err, consumer.ErrNoStream) || !strings.Contains(err.Error(), "orders") {
				t.Errorf("with the status %q: %v, want ErrNoStream for orders", status, err)
			}
		}
		f.do(func() { f.status = "CREATING" })
		if _, err := f.source(nil).Stream(t.Context()); err == nil || errors.Is(err, consumer.ErrNoStream) {
			t.Errorf("while it is created: %v, want an error that passes", err)
		}
	})
}

func TestWrongCredentialsAreDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []string{
			"UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException", "ExpiredTokenException",
			"IncompleteSignature", "MissingAuthenticationTokenException", "InvalidClientTokenId",
		} {
			for _, op := range []string{"DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"} {
				f := newFake(holding(shardID(0), 1))
				f.fail(op, slices.Repeat([]awsstub.Answer{awsstub.Fail(403, code)}, 9)...)
				err := use(t.Context(), f.source(nil))
				if !errors.Is(err, consumer.ErrDenied) || !strings.Contains(err.Error(), "orders") {
					t.Errorf("%s answered with %s: %v, want ErrDenied for orders", op, code, err)
				}
			}
		}
	})
}

// use makes every call once.
func use(ctx context.Context, s *kinesissource.Source) error {
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
		before := time.Now()
		at, err := s.Pin(t.Context(), st, checkpoint.Latest())
		if err != nil {
			t.Fatal(err)
		}
		if at.Kind() != checkpoint.StartAtTime || !at.Time().Equal(before.Truncate(time.Second)) {
			t.Errorf("LATEST at %v is pinned to %v, want the second before it", before, at)
		}
		for _, other := range []checkpoint.Start{{}, checkpoint.AtTime(before), checkpoint.After(readtest.Position(t, seq(1)))} {
			if got, err := s.Pin(t.Context(), st, other); got != other || err != nil {
				t.Errorf("%v is pinned to %v, %v, want it as it is", other, got, err)
			}
		}
	})
}

func TestLatestNeedsTheServicesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(holding(shardID(0), 0))
		usual := f.Service.Answer
		f.Service.Answer = func(c awsstub.Call) awsstub.Answer {
			a := usual(c)
			a.Undated = true
			return a
		}
		s := f.source(nil)
		st, _ := readtest.Stream(t, s)
		if at, err := s.Pin(t.Context(), st, checkpoint.Latest()); err == nil {
			t.Errorf("without a Date LATEST is pinned to %v, want an error", at)
		}
	})
}
