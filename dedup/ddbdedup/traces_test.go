//go:build engines

package ddbdedup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

var fenced = []dedup.Scope{dedup.PerShard, dedup.PerKey}

// marked is a mark of the key "key".
func marked(scope dedup.Scope, epoch, n uint64) dedup.Mark {
	m := ofItem("s", epoch, n)
	m.Scope = scope
	return m
}

// sealed is a sink with a shard that is sealed.
func (d *database) sealed(t *testing.T, cfg *ddbdedup.Config, m dedup.Mark) *ddbdedup.Sink {
	t.Helper()
	s := d.sink(t, cfg)
	m.Position = checkpoint.Position{}
	if _, err := s.Seal(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return s
}

// count adds one to the counter of each record, and tells how often it was called.
func (d *database) count(ctx context.Context, s *ddbdedup.Sink, ms ...dedup.Mark) (calls int, err error) {
	err = s.Apply(ctx, ms, func(w *ddbdedup.Write, fresh []int) error {
		calls++
		for _, i := range fresh {
			d.add(w, ms[i].Position.String(), 1)
		}
		return nil
	})
	return calls, err
}

// stands wants the effect of a record to stand so often.
func (d *database) stands(t *testing.T, m dedup.Mark, want int) {
	t.Helper()
	if n, err := d.total(t.Context(), m.Position.String()); n != want || err != nil {
		t.Errorf("the effect of %.90s stands %d times, %v; want %d", m.Position, n, err, want)
	}
}

// errorAnswer is an answer of the service.
func errorAnswer(body string) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// tokenOf is the token of a transaction.
func tokenOf(t *testing.T, body []byte) string {
	t.Helper()
	var in struct{ ClientRequestToken string }
	if err := json.Unmarshal(body, &in); err != nil || in.ClientRequestToken == "" {
		t.Errorf("no token, %v, in %s", err, body)
	}
	return in.ClientRequestToken
}

// The token of a transaction is used for other items, by whomever, before it arrives: its own are done nevertheless, once.
func TestATokenThatWasUsedForOtherItemsIsNoAnswer(t *testing.T) {
	for _, scope := range fenced {
		d := newDatabase(t)
		m := marked(scope, 1, 1)
		s := d.sealed(t, nil, m)
		var tokens []string
		d.wire.on(func(op string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
			if op == "TransactWriteItems" {
				token := tokenOf(t, body)
				if tokens = append(tokens, token); len(tokens) == 1 {
					_, err := d.client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token, TransactItems: []types.TransactWriteItem{
						{Put: &types.Put{TableName: &d.counters, Item: item{"name": text("of others")}}},
					}})
					if err != nil {
						t.Error(err)
					}
				}
			}
			return send(body)
		})
		if _, err := d.count(t.Context(), s, m); err != nil {
			t.Fatal(err)
		}
		d.stands(t, m, 1)
		if len(tokens) != 2 || tokens[0] == tokens[1] {
			t.Errorf("tokens %q; want another one after the mismatch", tokens)
		}
	}
}

// A call is repeated under one token until it is answered. Another call has another one, also for the same record and items: what the sink has forgotten meanwhile is done again.
func TestATokenIsOfOneCall(t *testing.T) {
	d := newDatabase(t)
	m := marked(dedup.PerShard, 1, 1)
	s := d.sealed(t, nil, m)
	restore := d.save(t)
	var tokens []string
	d.wire.on(func(_ string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
		tokens = append(tokens, tokenOf(t, body))
		resp, err := send(body)
		if err == nil && len(tokens) < 3 {
			return nil, errors.Join(errLost, resp.Body.Close())
		}
		return resp, err
	})
	if _, err := d.count(t.Context(), s, m); err != nil {
		t.Fatal(err)
	}
	d.stands(t, m, 1)
	if len(tokens) != 3 || tokens[0] != tokens[1] || tokens[1] != tokens[2] {
		t.Errorf("tokens %q; want three sendings with one", tokens)
	}
	restore()
	again := d.sink(t, nil)
	if _, err := d.count(t.Context(), again, m); err != nil {
		t.Fatal(err)
	}
	d.stands(t, m, 1)
	if len(tokens) != 4 || tokens[3] == tokens[0] {
		t.Errorf("tokens %q; want another one of another call", tokens)
	}
}

// An answer never comes and the call ends: it is not known whether its effects were applied. The same call again tells, also where the request arrives only after it.
func TestALateTransactionIsDoneOnceOrNotAtAll(t *testing.T) {
	for _, scope := range fenced {
		for _, advanced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, advanced %t", scope, advanced), func(t *testing.T) {
				d := newDatabase(t)
				m := marked(scope, 1, 1)
				s := d.sealed(t, nil, m)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var body []byte
				d.wire.on(func(_ string, b []byte, _ func([]byte) (*http.Response, error)) (*http.Response, error) {
					body = b
					cancel()
					return nil, errLost
				})
				if _, err := d.count(ctx, s, m); !errors.Is(err, dedup.ErrUnsettled) || errors.Is(err, dedup.ErrUnavailable) {
					t.Fatalf("%v; want dedup.ErrUnsettled", err)
				}
				d.stands(t, m, 0)
				d.wire.on(nil)
				if _, err := d.count(t.Context(), s, m); err != nil {
					t.Fatal(err)
				}
				if advanced { // and what marked the key is gone
					if err := s.Advance(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
				d.arrives(t, body)
				d.stands(t, m, 1)
				if calls, err := d.count(t.Context(), s, m); calls != 0 || err != nil {
					t.Errorf("again: %d calls, %v; want a repeat", calls, err)
				}
			})
		}
	}
}

// arrives has a transaction arrive that was held up.
func (d *database) arrives(t *testing.T, body []byte) {
	t.Helper()
	clients := stack.Through(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
			return next.RoundTrip(r)
		})
	})
	_, err := clients.DynamoDB().TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &d.counters, Item: item{"name": text("in its place")}}},
	}})
	if _, canceled := errors.AsType[*types.TransactionCanceledException](err); !canceled {
		t.Errorf("the late transaction: %v; want it canceled", err)
	}
}

// The table fails over to before the seal of an owner who goes on, and its epoch is handed out again, or to itself for a reset: session and generation tell the owners apart.
func TestAnEpochThatIsHandedOutAgainAfterTheSealWasForgotten(t *testing.T) {
	for _, scope := range fenced {
		for target, change := range map[error]func(*dedup.Mark){
			dedup.ErrFenced:     func(m *dedup.Mark) { m.Session = "another" },
			dedup.ErrGeneration: func(m *dedup.Mark) { m.Generation = 2 },
		} {
			d := newDatabase(t)
			first := d.sealed(t, nil, marked(scope, 2, 0))
			restore := d.save(t)
			m := marked(scope, 3, 1)
			a := d.sealed(t, nil, m)
			restore()
			other := m
			change(&other)
			other.Position = checkpoint.Position{}
			if _, err := d.sink(t, nil).Seal(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			for what, s := range map[string]*ddbdedup.Sink{"who has sealed": a, "who has not": first} {
				if _, err := d.count(t.Context(), s, m); !errors.Is(err, target) {
					t.Errorf("%v, %s: %v; want %v", scope, what, err, target)
				}
			}
			if err := a.Advance(t.Context(), m); !errors.Is(err, target) {
				t.Errorf("%v, Advance: %v; want %v", scope, err, target)
			}
			d.stands(t, m, 0)
		}
	}
}

// Kinesis counts in 56 digits. Two that differ in the last one are two records, in order.
func TestNeighboursOf56Digits(t *testing.T) {
	for _, scope := range fenced {
		d := newDatabase(t)
		m := marked(scope, 1, 0)
		s := d.sealed(t, nil, m)
		var ms []dedup.Mark
		for n := range 4 {
			p, err := checkpoint.Sequence(fmt.Sprintf("4965432109876543210987654321098765432109876543210987654%d", n))
			if err != nil {
				t.Fatal(err)
			}
			m.Position = p
			ms = append(ms, m)
		}
		for _, m := range ms[:3] {
			if calls, err := d.count(t.Context(), s, m); calls != 1 || err != nil {
				t.Fatalf("%d calls, %v; want it applied", calls, err)
			}
		}
		low := d.sink(t, nil)
		next := ms[0]
		next.Epoch = 2
		if got, err := low.Seal(t.Context(), next); err != nil || scope == dedup.PerShard && got.String() != ms[2].Position.String() {
			t.Errorf("low is %s, %v; want %s", got, err, ms[2].Position)
		}
		for i := range ms {
			ms[i].Epoch, ms[i].Session = 2, next.Session
		}
		if _, err := d.count(t.Context(), low, ms...); err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			d.stands(t, m, 1)
		}
	}
}

// The user's own condition fails: because the item is another, because an earlier sending has changed it, or while somebody else has the shard.
func TestTheUsersConditionIsToldFromTheMarks(t *testing.T) {
	for _, scope := range fenced {
		t.Run(scope.String(), func(t *testing.T) {
			d := newDatabase(t)
			m := marked(scope, 1, 1)
			s := d.sealed(t, nil, m)
			once := func(m dedup.Mark) error {
				return s.Apply(t.Context(), []dedup.Mark{m}, func(w *ddbdedup.Write, _ []int) error {
					d.add(w, "other", 1)
					w.Put(types.Put{TableName: &d.counters, Item: item{"name": text("once"), "by": text(m.Position.String())}, ConditionExpression: aws.String("attribute_not_exists(#n)"), ExpressionAttributeNames: map[string]string{"#n": "name"}})
					return nil
				})
			}
			d.wire.lose(answer, nil)
			if err := once(m); err != nil {
				t.Fatalf("with a lost answer: %v; want the effect of its own sending not to be taken for a refusal", err)
			}
			if err := once(m); err != nil {
				t.Errorf("a repeat: %v", err)
			}
			third, sent := marked(scope, 1, 2), 0
			d.wire.on(func(_ string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
				if sent++; sent > 1 { // of several that fail, the service tells of one
					reasons := strings.Repeat(`{"Code":"None"},`, strings.Count(string(body), `"TableName"`)-1) + `{"Code":"ConditionalCheckFailed"}`
					return errorAnswer(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[` + reasons + `]}`)
				}
				resp, err := send(body)
				if err != nil {
					return nil, err
				}
				return nil, errors.Join(errLost, resp.Body.Close())
			})
			if _, err := d.count(t.Context(), s, third); err != nil || sent != 2 {
				t.Errorf("%v after %d sendings; want the marks to say that the first was done", err, sent)
			}
			d.wire.on(nil)
			second := marked(scope, 1, 3)
			err := once(second)
			var back *dedup.RolledBackError
			var condition *ddbdedup.ConditionError
			if !errors.As(err, &back) || !errors.As(err, &condition) || condition.Action != 1 || condition.Item["by"].(*types.AttributeValueMemberS).Value != "1" {
				t.Fatalf("%v; want a *ConditionError of action 1 with the item of record 1", err)
			}
			if n, err := d.total(t.Context(), "other"); n != 1 || err != nil {
				t.Errorf("the other effect stands %d times, %v; want 1", n, err)
			}
			successor := d.sink(t, nil)
			if _, err := successor.Seal(t.Context(), marked(scope, 2, 0)); err != nil {
				t.Fatal(err)
			}
			if err := once(second); !errors.Is(err, dedup.ErrFenced) {
				t.Errorf("%v; want dedup.ErrFenced, whatever else does not hold", err)
			}
		})
	}
}

func TestWhatDynamoDBDoesNotTakeIsRolledBack(t *testing.T) {
	d := newDatabase(t)
	m := marked(dedup.PerKey, 1, 1)
	s := d.sealed(t, nil, m)
	for name, c := range map[string]struct {
		f    func(w *ddbdedup.Write)
		want string
	}{
		"99 effects": {func(w *ddbdedup.Write) {
			for n := range 99 {
				d.add(w, fmt.Sprint("many ", n), 1)
			}
		}, "99 effects and 2 marks are 101 actions"},
		"5 MB": {func(w *ddbdedup.Write) {
			for n := range 14 {
				w.Put(types.Put{TableName: &d.counters, Item: item{"name": text(fmt.Sprint("large ", n)), "b": text(strings.Repeat("x", 370_000))}})
			}
		}, "bytes: DynamoDB takes 100 actions and 4194304 bytes"},
		"two on one item": {func(w *ddbdedup.Write) {
			d.add(w, "twice", 1)
			d.add(w, "twice", 1)
		}, "multiple operations on one item"},
		"too large an item": {func(w *ddbdedup.Write) {
			w.Put(types.Put{TableName: &d.counters, Item: item{"name": text("large"), "b": text(strings.Repeat("x", 500_000))}})
		}, "Item size has exceeded"},
		"no table": {func(w *ddbdedup.Write) { w.Put(types.Put{Item: item{"name": text("x")}}) }, "TableName"},
		"no expression": {func(w *ddbdedup.Write) {
			w.Update(types.Update{TableName: &d.counters, Key: item{"name": text("x")}, UpdateExpression: aws.String("SIT a = b")})
		}, "Invalid UpdateExpression"},
	} {
		err := s.Apply(t.Context(), []dedup.Mark{m}, func(w *ddbdedup.Write, _ []int) error {
			c.f(w)
			return nil
		})
		if _, ok := errors.AsType[*dedup.RolledBackError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want a *RolledBackError that says %q", name, err, c.want)
		}
	}
	if calls, err := d.count(t.Context(), s, m); calls != 1 || err != nil {
		t.Errorf("%d calls, %v; want the record fresh yet", calls, err)
	}
	if err := s.Apply(t.Context(), []dedup.Mark{marked(dedup.PerKey, 1, 2)}, func(w *ddbdedup.Write, _ []int) error {
		for n := range 98 {
			d.add(w, fmt.Sprint("many ", n), 1)
		}
		return nil
	}); err != nil {
		t.Errorf("98 effects: %v", err)
	}
	err := s.Apply(t.Context(), []dedup.Mark{marked(dedup.PerKey, 1, 3)}, func(w *ddbdedup.Write, _ []int) error {
		w.Put(types.Put{TableName: aws.String("no-such-table"), Item: item{"name": text("x")}})
		return nil
	})
	if !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("a table that does not exist: %v; want dedup.ErrUnavailable, for it is no record's fault", err)
	}
}

// Conflicts and throttles are waited out, and are nobody's fault.
func TestConflictsAndThrottlesAreWaitedOut(t *testing.T) {
	for name, body := range map[string]string{
		"conflict of the fence":   `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"},{"Code":"None"}]}`,
		"conflict and condition":  `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"},{"Code":"ConditionalCheckFailed"}]}`,
		"conflict of the effects": `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[{"Code":"None"},{"Code":"None"},{"Code":"TransactionConflict"}]}`,
		"no capacity":             `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[{"Code":"None"},{"Code":"ProvisionedThroughputExceeded"},{"Code":"None"}]}`,
		"throttled":               `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"x"}`,
		"in progress":             `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionInProgressException","message":"x"}`,
	} {
		d := newDatabase(t)
		m := marked(dedup.PerKey, 1, 1)
		s := d.sealed(t, nil, m)
		sent := 0
		d.wire.on(func(_ string, b []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
			if sent++; sent <= 3 {
				return errorAnswer(body)
			}
			return send(b)
		})
		calls, err := d.count(t.Context(), s, m)
		if err != nil || calls != 1 || sent != 4 {
			t.Errorf("%s: %d calls, %d sendings, %v; want one, four and nil", name, calls, sent, err)
		}
		d.stands(t, m, 1)
		d.wire.on(func(string, []byte, func([]byte) (*http.Response, error)) (*http.Response, error) {
			return errorAnswer(body)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = d.count(ctx, s, marked(dedup.PerKey, 1, 2))
		cancel()
		want := dedup.ErrUnavailable
		if name == "in progress" {
			want = dedup.ErrUnsettled
		}
		if !errors.Is(err, want) {
			t.Errorf("%s, without an end: %v; want %v", name, err, want)
		}
	}
}
