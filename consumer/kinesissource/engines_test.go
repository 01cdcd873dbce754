//go:build engines

package kinesissource_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/consumer/sourcetest"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) { os.Exit(stacktest.Run(m, &stack)) } //nolint:forbidigo // the only way to say that the stack could not be had

// quick polls as a local endpoint bears it.
var quick = &kinesissource.Config{Busy: 20 * time.Millisecond, Idle: 100 * time.Millisecond}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Driver{
		New: newStream,
		Missing: func(testing.TB) consumer.Source {
			return kinesissource.New(stack.Kinesis(), "absent-"+rand.Text(), quick)
		},
		Coarse: time.Second,
		Lacks: map[sourcetest.Ability]string{
			sourcetest.Trim:      "kinesis-mock holds everything for a day",
			sourcetest.Aggregate: "aggregates are given as they are",
		},
	})
}

// live is a stream on the endpoint.
type live struct {
	client *kinesis.Client
	name   string
	old    generations
}

func newStream(tb testing.TB, shards int) *sourcetest.Stream {
	tb.Helper()
	l := &live{name: "kinesissource-" + rand.Text()}
	l.client = stack.Through(l.old.wrap).Kinesis()
	if err := l.create(tb.Context(), shards); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.delete(ctx); err != nil {
			tb.Error(err)
		}
	})
	return &sourcetest.Stream{
		Source: func() consumer.Source { return kinesissource.New(l.client, l.name, quick) },
		Put: func(ctx context.Context, key string, value []byte) error {
			_, err := l.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &l.name, PartitionKey: &key, Data: value})
			return err
		},
		Roll:   l.split,
		Merge:  l.merge,
		Expire: func(context.Context) error { l.old.now.Add(1); return nil },
		Delete: l.delete,
		Create: func(ctx context.Context) error {
			// A real service takes longer than this to delete a stream, and the source relies on it.
			if err := backoff.Wait(ctx, 5*time.Second); err != nil {
				return err
			}
			return l.create(ctx, 1)
		},
		Pass: backoff.Wait,
	}
}

func (l *live) create(ctx context.Context, shards int) error {
	if _, err := l.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &l.name, ShardCount: aws.Int32(int32(shards))}); err != nil {
		return err
	}
	return l.active(ctx)
}

func (l *live) active(ctx context.Context) error {
	return kinesis.NewStreamExistsWaiter(l.client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	}).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &l.name}, time.Minute)
}

func (l *live) delete(ctx context.Context) error {
	if _, err := l.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &l.name}); err != nil {
		return err
	}
	return kinesis.NewStreamNotExistsWaiter(l.client, func(o *kinesis.StreamNotExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	}).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &l.name}, time.Minute)
}

// split splits a shard in the middle of its hash keys.
func (l *live) split(ctx context.Context, shard string) error {
	listed, err := l.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &l.name})
	if err != nil {
		return err
	}
	for _, sh := range listed.Shards {
		if aws.ToString(sh.ShardId) != shard {
			continue
		}
		from, _ := new(big.Int).SetString(*sh.HashKeyRange.StartingHashKey, 10)
		until, _ := new(big.Int).SetString(*sh.HashKeyRange.EndingHashKey, 10)
		middle := new(big.Int).Rsh(new(big.Int).Add(from, until), 1)
		_, err := l.client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &l.name, ShardToSplit: &shard, NewStartingHashKey: aws.String(middle.String())})
		if err != nil {
			return err
		}
		return l.resharded(ctx)
	}
	return errors.New("no such shard: " + shard)
}

func (l *live) merge(ctx context.Context, a, b string) error {
	if _, err := l.client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &l.name, ShardToMerge: &a, AdjacentShardToMerge: &b}); err != nil {
		return err
	}
	return l.resharded(ctx)
}

// resharded waits until the stream is no longer being updated.
func (l *live) resharded(ctx context.Context) error {
	for {
		out, err := l.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &l.name})
		if err != nil || out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return err
		}
		if err := backoff.Wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// generations makes iterators expire, which on the endpoint takes five minutes: each bears the generation in which it was given out, and
// those of older ones are refused.
type generations struct{ now atomic.Int64 }

func (g *generations) wrap(next http.RoundTripper) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var in map[string]any
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		if marked, ok := in["ShardIterator"].(string); ok {
			generation, iterator, _ := strings.Cut(marked, "|")
			if generation != strconv.FormatInt(g.now.Load(), 10) {
				return answer(r, http.StatusBadRequest, []byte(`{"__type":"ExpiredIteratorException","message":"injected"}`)), nil
			}
			in["ShardIterator"] = iterator
			if body, err = json.Marshal(in); err != nil {
				return nil, err
			}
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp, err := next.RoundTrip(r)
		if err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetShardIterator") && !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
			return resp, err
		}
		return g.mark(r, resp)
	})
}

func (g *generations) mark(r *http.Request, resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, err
	}
	for _, field := range []string{"ShardIterator", "NextShardIterator"} {
		var iterator string
		if err := json.Unmarshal(out[field], &iterator); err != nil || iterator == "" {
			continue
		}
		if out[field], err = json.Marshal(strconv.FormatInt(g.now.Load(), 10) + "|" + iterator); err != nil {
			return nil, err
		}
	}
	if body, err = json.Marshal(out); err != nil {
		return nil, err
	}
	marked := answer(r, resp.StatusCode, body)
	marked.Header = resp.Header.Clone()
	marked.Header.Del("Content-Length")
	return marked, nil
}

func answer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
