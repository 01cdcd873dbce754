package ddbsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/polling"
)

const (
	// retention and maxRecords are limits of DynamoDB Streams:
	// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html.
	retention  = 24 * time.Hour
	maxRecords = 1_000
	// describes is between two calls of DescribeStream, of which 10 a second are allowed.
	describes = 125 * time.Millisecond
)

// Config is how the shards are polled, and which stream. The zero value of each field is its default.
type Config struct {
	// StreamARN is the stream to read. Defaults to the table's latest; an older one, which a table that was given a new stream still has for 24
	// hours, is read by naming it.
	StreamARN string
	// Busy is between two reads of a shard that has records. Defaults to 250 ms. Each read is billed.
	Busy time.Duration
	// Idle is the longest time between two reads of a shard without records, to which the interval grows. Defaults to 2 s, or to Busy if that is more.
	Idle time.Duration
	// Timeout is the limit of one request. Defaults to 10 s.
	Timeout time.Duration
}

var (
	_ consumer.Source = (*Source)(nil)
	_ consumer.Codec  = (*Source)(nil)
)

// Source is the stream of a DynamoDB table as a [consumer.Source]. It is safe for concurrent use.
type Source struct {
	tables  *dynamodb.Client
	streams *dynamodbstreams.Client
	table   string
	arn     string // Config.StreamARN
	every   polling.Intervals
	pool    polling.Pool
	gate    polling.Gate // of DescribeStream
}

// New is a source on the stream of a table, given by name or by ARN. It makes no request; what is wrong with its arguments is said by
// [Source.Validate] and by the first call. A nil cfg has the defaults. With Config.StreamARN the client of DynamoDB is not used and may be nil.
func New(tables *dynamodb.Client, streams *dynamodbstreams.Client, table string, cfg *Config) *Source {
	s := &Source{tables: tables, streams: streams, table: table}
	if cfg != nil {
		s.arn, s.every = cfg.StreamARN, polling.Intervals{Busy: cfg.Busy, Idle: cfg.Idle, Timeout: cfg.Timeout}
	}
	s.every = s.every.OrDefaults(time.Second / 4)
	s.gate.Every = describes
	return s
}

// Validate joins all faults of what New was given. It makes no request.
func (s *Source) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("ddbsource: "+format, args...))
	}
	if s.tables == nil && s.arn == "" {
		fault("the client of DynamoDB is nil: make one with dynamodb.NewFromConfig, or set Config.StreamARN")
	}
	if s.streams == nil {
		fault("the client of DynamoDB Streams is nil: make one with dynamodbstreams.NewFromConfig")
	}
	switch {
	case s.table == "":
		fault("the table has no name")
	case isStream(s.table):
		fault("%s is a stream, not a table: give the table's name, and the stream as Config.StreamARN", s.table)
	}
	if s.arn != "" && !isStream(s.arn) {
		fault("Config.StreamARN %q is no stream's ARN: it reads arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL", s.arn)
	}
	for _, err := range s.every.Faults() {
		fault("%w", err)
	}
	return errors.Join(faults...)
}

func isStream(arn string) bool {
	return strings.HasPrefix(arn, "arn:") && strings.Contains(arn, "/stream/")
}

// Stream asks for the table's latest stream. Its incarnation is the stream's ARN, which has the label. A stream that was
// disabled is a stream as long as the service knows it, which is 24 hours: what is left in it can be read.
func (s *Source) Stream(ctx context.Context) (consumer.Stream, error) {
	if err := s.Validate(); err != nil {
		return consumer.Stream{}, err
	}
	arn := s.arn
	if arn == "" {
		var err error
		if arn, err = s.latest(ctx); err != nil {
			return consumer.Stream{}, err
		}
	}
	if _, err := s.ask(ctx, arn); err != nil {
		return consumer.Stream{}, err
	}
	return consumer.Stream{Name: s.table, Incarnation: arn, Retention: retention, KeyOrder: true}, nil
}

// latest is the ARN of the table's latest stream, whether it is enabled or not.
func (s *Source) latest(ctx context.Context) (string, error) {
	var table *dynamodbtypes.TableDescription
	err := polling.Retry(ctx, 3, func() error {
		return polling.Call(ctx, s.every.Timeout, func(ctx context.Context) error {
			out, err := s.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
			if err != nil {
				return err
			}
			if table = out.Table; table == nil {
				return errEmpty
			}
			return nil
		})
	})
	switch {
	case awserr.Of(err) == awserr.NotFound:
		return "", s.errorf("%w: there is no such table in region %q: create it, or check the name and the region: %w",
			consumer.ErrNoStream, s.tables.Options().Region, err)
	case err != nil:
		return "", s.errorf("ask for its stream: %w", polling.Explain(err))
	case aws.ToString(table.LatestStreamArn) == "":
		return "", s.errorf("%w: none is enabled: enable one with UpdateTable, StreamSpecification{StreamEnabled: true, StreamViewType: "+
			"NEW_AND_OLD_IMAGES}, or with NEW_IMAGE, OLD_IMAGE or KEYS_ONLY if that is all you need", consumer.ErrNoStream)
	}
	return *table.LatestStreamArn, nil
}

// ask describes a stream with at most one of its shards, and says when, by the service's clock. The time is zero if the answer had no Date.
func (s *Source) ask(ctx context.Context, arn string) (time.Time, error) {
	out, err := s.describe(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &arn, Limit: aws.Int32(1)})
	if err != nil {
		return time.Time{}, s.explain(arn, err)
	}
	date, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	return date, nil
}

// explain adds to an error of DescribeStream what it means.
func (s *Source) explain(arn string, err error) error {
	if awserr.Of(err) != awserr.NotFound {
		return s.errorf("describe stream %s: %w", arn, polling.Explain(err))
	}
	return s.errorf("%w: stream %s is gone: it was disabled 24 hours ago or more, or its table was deleted: %w", consumer.ErrNoStream, arn, err)
}

// Pin turns LATEST into the instant of the service's own clock, which is the Date of an answer and has whole seconds: records of the same
// second that are older are given too. An answer without Date is an error, since another clock could be ahead and lose records.
func (s *Source) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	if at.Kind() != checkpoint.StartLatest {
		return at, nil
	}
	if err := s.Validate(); err != nil {
		return checkpoint.Start{}, err
	}
	date, err := s.ask(ctx, st.Incarnation)
	if err != nil {
		return checkpoint.Start{}, err
	}
	if date.IsZero() {
		return checkpoint.Start{}, s.errorf("the answer of DescribeStream has no Date, so that LATEST has no instant: start at a time")
	}
	return checkpoint.AtTime(date), nil
}

// Open begins to read a shard, by AFTER_SEQUENCE_NUMBER, AT_TIMESTAMP or TRIM_HORIZON. LATEST is pinned first. Where the endpoint has no
// AT_TIMESTAMP, the shard is read from TRIM_HORIZON, and what is older than the instant, cut to the minute, is skipped.
func (s *Source) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	at, err := s.Pin(ctx, st, at)
	if err != nil {
		return nil, err
	}
	return polling.Open(ctx, &shard{source: s, arn: st.Incarnation, id: sh.ID, closed: sh.Closed}, at, polling.Options{
		What:      fmt.Sprintf("ddbsource: table %s, shard %s", s.table, sh.ID),
		Intervals: s.every, MaxRecords: maxRecords, Closed: sh.Closed,
	})
}

func (s *Source) errorf(format string, args ...any) error {
	return fmt.Errorf("ddbsource: table %s: %w", s.table, fmt.Errorf(format, args...))
}
