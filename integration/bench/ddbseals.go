package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// underWay is how long a transaction holds its items, so that others conflict: about what DynamoDB takes for one.
const underWay = 10 * time.Millisecond

// sealStripes are the numbers of stripes that are compared.
var sealStripes = []int{1, 4, 16, 64}

// ddbSeals measures how often lanes that go on side by side conflict at the seal of their shard in DynamoDB, by the number of its stripes.
func ddbSeals(ctx context.Context, o options, r *report) (err error) {
	d, err := localstack.StartDynamoDB(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	r.note("DynamoDB Local runs transactions one after the other and never has one conflict. So a transaction is held before it for %v, and one that meets an item of", underWay)
	r.note("a held one is answered as DynamoDB does, with TransactionConflict. A lane applies its calls one after the other, each with an effect on an item of its own.")
	r.note("done=true: DynamoDB Local does the transaction then, and is what limits calls/s. done=false: it is answered without, so that lanes are in transactions nearly all")
	r.note("the time, as with a service that takes any number at once.")
	for range cmp.Or(o.Count, 1) {
		for _, done := range []bool{true, false} {
			for _, lanes := range []int{16, 64} {
				for _, records := range []int{1, 10} {
					for _, stripes := range sealStripes {
						s := sealRun{d: d, done: done, lanes: lanes, records: records, stripes: stripes, lasts: time.Duration(cmp.Or(o.Seconds, 5)) * time.Second}
						metrics, err := s.measure(ctx)
						if err != nil {
							return err
						}
						r.result(fmt.Sprintf("Apply/done=%t/lanes=%d/records=%d/stripes=%d", done, lanes, records, stripes), metrics...)
					}
				}
			}
		}
	}
	return nil
}

// sealRun is one measurement.
type sealRun struct {
	d                       *localstack.DynamoDB
	done                    bool // by the engine; else answered without
	lanes, records, stripes int
	lasts                   time.Duration

	mu    sync.Mutex
	takes []time.Duration
}

func (s *sealRun) measure(ctx context.Context) ([]metric, error) {
	rule := &conflictRule{held: make(map[string]bool)}
	client := s.d.Through(rule.through).DynamoDB()
	effects := unique("effects")
	if err := makeEffects(ctx, client, effects); err != nil {
		return nil, err
	}
	sink := ddbdedup.New(client, unique("marks"), &ddbdedup.Config{Stripes: s.stripes})
	if err := sink.Setup(ctx); err != nil {
		return nil, err
	}
	m := dedup.Mark{App: "bench", Stream: "orders", Shard: "shard", Scope: dedup.PerKey, Epoch: 1, Session: "worker", Generation: 1}
	begun := time.Now()
	if _, err := sink.Seal(ctx, m); err != nil {
		return nil, err
	}
	sealed := time.Since(begun)
	group, working := errgroup.WithContext(ctx)
	rule.answers.Store(!s.done)
	begun = time.Now()
	for lane := range s.lanes {
		m := m
		m.Key = fmt.Sprint("key ", lane)
		group.Go(func() error { return s.lane(working, sink, effects, m, begun.Add(s.lasts)) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(begun)
	slices.Sort(s.takes)
	n := float64(len(s.takes))
	return []metric{
		{n / took.Seconds(), "calls/s"},
		{n * float64(s.records) / took.Seconds(), "records/s"},
		{float64(rule.conflicts) / n, "conflicts/call"},
		{float64(s.takes[len(s.takes)/2]), "p50-ns"},
		{float64(s.takes[len(s.takes)*99/100]), "p99-ns"},
		{float64(sealed), "seal-ns"},
	}, nil
}

// lane applies the records of a key until it is late.
func (s *sealRun) lane(ctx context.Context, sink *ddbdedup.Sink, table string, m dedup.Mark, until time.Time) error {
	for n := uint64(1); time.Now().Before(until); {
		var ms []dedup.Mark
		for range s.records {
			m.Position = checkpoint.Offset(n)
			ms = append(ms, m)
			n++
		}
		begun := time.Now()
		err := sink.Apply(ctx, ms, func(w *ddbdedup.Write, fresh []int) error {
			w.Update(types.Update{
				TableName: &table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: m.Key}}, UpdateExpression: aws.String("ADD applied :n"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: fmt.Sprint(len(fresh))}},
			})
			return nil
		})
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.takes = append(s.takes, time.Since(begun))
		s.mu.Unlock()
	}
	return nil
}

func makeEffects(ctx context.Context, client *dynamodb.Client, table string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	return err
}

// conflictRule is that of DynamoDB: a transaction that meets an item of one that is under way is canceled.
type conflictRule struct {
	answers atomic.Bool // what is not canceled, without having it done

	mu        sync.Mutex
	held      map[string]bool
	conflicts int64
}

// through is for [localstack.Clients.Through].
func (c *conflictRule) through(next http.RoundTripper) http.RoundTripper { return conflicting{c, next} }

type conflicting struct {
	rule *conflictRule
	next http.RoundTripper
}

func (c conflicting) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
		return c.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	items, err := itemsOf(body)
	if err != nil {
		return nil, err
	}
	if met := c.rule.take(items); met >= 0 {
		reasons := slices.Repeat([]string{`{"Code":"None"}`}, len(items))
		reasons[met] = `{"Code":"TransactionConflict","Message":"Transaction is ongoing for the item"}`
		text := `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"canceled","CancellationReasons":[` + strings.Join(reasons, ",") + `]}`
		return answerOf(r, http.StatusBadRequest, text), nil
	}
	err = backoff.Wait(r.Context(), underWay)
	c.rule.leave(items)
	if err != nil {
		return nil, err
	}
	if c.rule.answers.Load() {
		return answerOf(r, http.StatusOK, "{}"), nil
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return c.next.RoundTrip(r)
}

func answerOf(r *http.Request, status int, text string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}
}

// take holds items, or tells which of them is held by another.
func (c *conflictRule) take(items []string) (met int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, it := range items {
		if c.held[it] {
			c.conflicts++
			return i
		}
	}
	for _, it := range items {
		c.held[it] = true
	}
	return -1
}

func (c *conflictRule) leave(items []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, it := range items {
		delete(c.held, it)
	}
}

// itemsOf names the items of a transaction: those of marks are put with both their keys, those of effects have one.
func itemsOf(body []byte) (items []string, err error) {
	type key struct{ P, K, ID json.RawMessage }
	type action struct {
		TableName string
		Key, Item key
	}
	var in struct {
		TransactItems []struct{ ConditionCheck, Put, Update, Delete *action }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("a transaction: %w", err)
	}
	for _, it := range in.TransactItems {
		a := cmp.Or(it.ConditionCheck, it.Put, it.Update, it.Delete)
		k := a.Key
		if it.Put != nil {
			k = a.Item
		}
		items = append(items, fmt.Sprintf("%s %s %s %s", a.TableName, k.P, k.K, k.ID))
	}
	return items, nil
}
