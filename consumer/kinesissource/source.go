package kinesissource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/polling"
)

// Limits of GetRecords: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html.
const (
	maxRecords = 10_000
	maxRate    = 2 << 20 // bytes a second and shard
)

// swap is less than it takes AWS to delete a stream and make another of its name. Who heard of a stream within this time need not ask whether it is
// still the same: DescribeStreamSummary has a limit of 20 calls a second and account.
const swap = 5 * time.Second

// Config is how the shards are polled. The zero value of each field is its default.
type Config struct {
	// Busy is between two reads of a shard that has records. Defaults to a third of a second: of the 5 reads a second that
	// Kinesis allows a shard, for all its polling consumers together, two are left to others. Less than 200 ms is throttled by AWS, and of use
	// with local endpoints only.
	Busy time.Duration
	// Idle is the longest time between two reads of a shard without records, to which the interval grows. Defaults to 2 s, or to Busy if that is more.
	Idle time.Duration
	// Timeout is the limit of one request. Defaults to 10 s. A page has up to 10 MiB: over slow links take more.
	Timeout time.Duration
}

var _ consumer.Source = (*Source)(nil)

// Source is a Kinesis stream as a [consumer.Source]. It is safe for concurrent use.
type Source struct {
	client *kinesis.Client
	stream string
	every  polling.Intervals
	pool   polling.Pool

	turn chan struct{} // holds one token: whoever has it may ask what the stream is

	mu   sync.Mutex
	last summary
}

// summary is what the service said of the stream.
type summary struct {
	asked       time.Time
	incarnation string
	retention   time.Duration
	keyOrder    bool
	date        time.Time // of the answer, by the service's clock; zero: it had none
}

// New is a source on a stream, given by name or by ARN (which is needed for a stream of another account). It makes no request; what is wrong with its
// arguments is said by [Source.Validate] and by the first call. A nil cfg has the defaults.
func New(client *kinesis.Client, stream string, cfg *Config) *Source {
	s := &Source{client: client, stream: stream, turn: make(chan struct{}, 1)}
	if cfg != nil {
		s.every = polling.Intervals(*cfg)
	}
	s.every = s.every.OrDefaults(time.Second / 3)
	s.turn <- struct{}{}
	return s
}

// Validate joins all faults of what New was given. It makes no request.
func (s *Source) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("kinesissource: "+format, args...))
	}
	if s.client == nil {
		fault("the client is nil: make one with kinesis.NewFromConfig")
	}
	if s.stream == "" {
		fault("the stream has no name: give its name or its ARN")
	}
	for _, err := range s.every.Faults() {
		fault("%w", err)
	}
	return errors.Join(faults...)
}

// Stream asks which stream has the name. Its incarnation is the ARN and the time of creation. KeyOrder is false on
// streams that distribute records automatically.
func (s *Source) Stream(ctx context.Context) (consumer.Stream, error) {
	now, err := s.summary(ctx, time.Now())
	if err != nil {
		return consumer.Stream{}, err
	}
	return consumer.Stream{Name: s.stream, Incarnation: now.incarnation, Retention: now.retention, KeyOrder: now.keyOrder}, nil
}

// Pin turns LATEST into the instant of the service's own clock, which is the Date of an answer and has whole seconds: records of the same
// second that are older are given too. An answer without Date is an error, since another clock could be ahead and lose records.
func (s *Source) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	if at.Kind() != checkpoint.StartLatest {
		return at, nil
	}
	now, err := s.same(ctx, st.Incarnation, time.Now())
	if err != nil {
		return checkpoint.Start{}, err
	}
	if now.date.IsZero() {
		return checkpoint.Start{}, s.errorf("the answer of DescribeStreamSummary has no Date, so that LATEST has no instant: start at a time")
	}
	return checkpoint.AtTime(now.date), nil
}

// Open begins to read a shard, by AFTER_SEQUENCE_NUMBER, AT_TIMESTAMP or TRIM_HORIZON. LATEST is pinned first. A position that is no longer
// held is not told by Kinesis: reading goes on silently at the oldest record.
func (s *Source) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	at, err := s.Pin(ctx, st, at)
	if err != nil {
		return nil, err
	}
	return polling.Open(ctx, &shard{source: s, incarnation: st.Incarnation, id: sh.ID}, at, polling.Options{
		What:      fmt.Sprintf("kinesissource: stream %s, shard %s", s.stream, sh.ID),
		Intervals: s.every, Rate: maxRate, MaxRecords: maxRecords, Closed: sh.Closed,
	})
}

// same makes sure, by an answer that was asked for after since, that the name still means the incarnation.
func (s *Source) same(ctx context.Context, incarnation string, since time.Time) (summary, error) {
	now, err := s.summary(ctx, since)
	if err == nil && now.incarnation != incarnation {
		err = s.errorf("%w: it was made anew: it is %s now, and was %s", consumer.ErrNoStream, now.incarnation, incarnation)
	}
	return now, err
}

// summary asks what the stream is, unless an answer is there that was asked for after since. Callers at the same time share one request.
func (s *Source) summary(ctx context.Context, since time.Time) (summary, error) {
	if err := s.Validate(); err != nil {
		return summary{}, err
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return summary{}, context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last.asked.After(since) {
		return last, nil
	}
	now, err := s.describe(ctx)
	if err != nil {
		return summary{}, err
	}
	s.mu.Lock()
	s.last = now
	s.mu.Unlock()
	return now, nil
}

func (s *Source) describe(ctx context.Context) (summary, error) {
	in := &kinesis.DescribeStreamSummaryInput{}
	in.StreamName, in.StreamARN = s.ref()
	var now summary
	err := polling.Retry(ctx, 3, func() error {
		now = summary{asked: time.Now()}
		var out *kinesis.DescribeStreamSummaryOutput
		err := polling.Call(ctx, s.every.Timeout, func(ctx context.Context) (err error) {
			out, err = s.client.DescribeStreamSummary(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		now.date, _ = awsmiddleware.GetServerTime(out.ResultMetadata)
		return now.read(out.StreamDescriptionSummary)
	})
	switch {
	case err == nil:
		return now, nil
	case awserr.Of(err) == awserr.NotFound:
		return summary{}, s.errorf("%w in region %q: create it, or check the name and the region: %w", consumer.ErrNoStream, s.client.Options().Region, err)
	}
	return summary{}, s.errorf("ask what it is: %w", polling.Explain(err))
}

// read takes what is needed of a description. The error wraps [consumer.ErrNoStream] for a stream that is being deleted.
func (n *summary) read(d *types.StreamDescriptionSummary) error {
	if d == nil || aws.ToString(d.StreamARN) == "" {
		return errors.New("the answer of DescribeStreamSummary is empty")
	}
	switch d.StreamStatus {
	case types.StreamStatusCreating:
		return errors.New("it is still being created")
	case types.StreamStatusDeleting:
		return fmt.Errorf("%w: it is being deleted", consumer.ErrNoStream)
	}
	n.incarnation = *d.StreamARN
	if d.StreamCreationTimestamp != nil {
		n.incarnation += "@" + d.StreamCreationTimestamp.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	n.retention = time.Duration(aws.ToInt32(d.RetentionPeriodHours)) * time.Hour
	n.keyOrder = d.RecordDistributionStrategy != types.RecordDistributionStrategyAuto
	return nil
}

// ref is the stream as requests name it.
func (s *Source) ref() (name, arn *string) {
	if strings.HasPrefix(s.stream, "arn:") {
		return nil, &s.stream
	}
	return &s.stream, nil
}

func (s *Source) errorf(format string, args ...any) error {
	return fmt.Errorf("kinesissource: stream %s: %w", s.stream, fmt.Errorf(format, args...))
}
