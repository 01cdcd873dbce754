package ddbdedup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/backoff"
)

const (
	// attemptLimit is how long one sending of a write may take: one that nobody answers is sent again.
	attemptLimit = 10 * time.Second
	// maxUnreached is how often a write is sent that does not reach the service at all.
	maxUnreached = 5
	// maxRequests is how many requests one call has under way at once.
	maxRequests = 16
	// maxKeys is the limit of one BatchGetItem:
	// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
	maxKeys = 100
)

var (
	// retries is the wait between two sendings of a write that met another or had no answer, and between two decisions about it.
	retries = backoff.Policy{Base: 10 * time.Millisecond, Cap: 500 * time.Millisecond}
	// throttled is that of a write for which there is no capacity.
	throttled = backoff.Policy{Base: 50 * time.Millisecond, Cap: 5 * time.Second}
)

// call is one call of a sink, or of an Item.
type call struct {
	what  string // "apply 7 records of shard s"
	where string // "marks in table t"

	mu    sync.Mutex
	doubt bool // a write may have been done, though no answer says so
	nonce string
	n     int // of tokens that were of no use
}

func (s *Sink) call(format string, args ...any) *call {
	return &call{what: fmt.Sprintf(format, args...), where: fmt.Sprintf("marks in table %q", s.table), nonce: rand.Text()}
}

func (c *call) doubtful() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt = true
}

// fail is the error of the call that ends with err.
func (c *call) fail(ctx context.Context, op string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := dedup.ErrUnavailable
	if c.doubt {
		kind = dedup.ErrUnsettled
	}
	return fault(ctx, kind, op, fmt.Sprintf("ddbdedup: %s: %s", c.where, c.what), err)
}

// again wraps an answer that is worth another sending, of a write that was not done.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

func isAgain(err error) bool {
	_, ok := errors.AsType[again](err)
	return ok
}

// once has the SDK send a write once: it would not say which of its sendings may have been done.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// write sends a write until there is an answer to it, and returns that, nil or an error of the service. What cannot be sent any more is an error of the call, and final.
func (c *call) write(ctx context.Context, op string, send func(ctx context.Context) error) (answer, final error) {
	unreached := 0
	for n := 1; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return nil, c.fail(ctx, op, err)
		}
		attempt, cancel := context.WithTimeout(ctx, attemptLimit)
		err := send(attempt)
		cancel()
		wait := retries
		switch kind := awserr.Of(err); {
		case err == nil:
			return nil, nil
		case kind == awserr.Throttled:
			wait = throttled
		case isAgain(err):
		case kind == awserr.Denied, kind == awserr.NotFound:
			return nil, c.fail(ctx, op, err)
		case kind == awserr.Invalid, answered(err):
			return err, nil
		case sent(err):
			c.doubtful()
		default:
			if unreached++; unreached == maxUnreached {
				return nil, c.fail(ctx, op, err)
			}
		}
		if backoff.Wait(ctx, wait.Delay(n)) != nil {
			return nil, c.fail(ctx, op, err)
		}
	}
}

// answered tells whether err says of a write that it was not done, and why.
func answered(err error) bool {
	switch awserr.Code(err) {
	case "ConditionalCheckFailedException", "TransactionCanceledException", "IdempotentParameterMismatchException", "ItemCollectionSizeLimitExceededException":
		return true
	}
	var params smithy.InvalidParamsError
	var form *smithy.SerializationError
	return errors.As(err, &params) || errors.As(err, &form) // it was refused by the client itself
}

// sent tells whether a request may have reached the service, of which err says nothing.
func sent(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return false
	}
	var sending *smithyhttp.RequestSendError
	var response *smithyhttp.ResponseError
	var form *smithy.DeserializationError
	var canceled *smithy.CanceledError
	return errors.As(err, &sending) || errors.As(err, &response) || errors.As(err, &form) || errors.As(err, &canceled)
}

// transact commits actions, of which the first are those of marks. It returns outdated if a row of marks is not as was expected, and refused if the effects are the reason.
func (s *Sink) transact(ctx context.Context, c *call, actions []types.TransactWriteItem, marks int) (outdated bool, refused, err error) {
	const op = "TransactWriteItems"
	token, err := c.token(actions)
	if err != nil {
		return false, &dedup.RolledBackError{Err: err}, nil
	}
	answer, err := c.write(ctx, op, func(ctx context.Context) error {
		outdated, refused = false, nil
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: actions, ClientRequestToken: &token}, once)
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) {
			return err
		}
		var retry bool
		outdated, retry, refused = reasons(canceled.CancellationReasons, marks)
		if retry {
			return again{err}
		}
		return err
	})
	switch {
	case err != nil:
		return false, nil, err
	case answer == nil, outdated, refused != nil:
		return outdated, refused, nil
	case awserr.Code(answer) == "IdempotentParameterMismatchException":
		// Somebody has used the token for other items. What stands tells whether that was this call.
		c.n++
		return true, nil, nil
	case awserr.Code(answer) != "TransactionCanceledException" && marks < len(actions):
		return false, answer, nil // such as two actions on one item, or an expression that is none
	}
	return false, nil, c.fail(ctx, op, answer)
}

// reasons tells why a transaction was canceled. A row of marks that is not as expected comes before everything: it may be the reason for the rest. Unless nothing else was in the way nothing is known of the others'
// conditions, nor of those of the marks.
func reasons(all []types.CancellationReason, marks int) (outdated, retry bool, refused error) {
	for i, r := range all {
		switch code := aws.ToString(r.Code); code {
		case "None", "":
		case "ConditionalCheckFailed":
			if i < marks {
				outdated = true
			} else if refused == nil {
				refused = &ConditionError{Action: i - marks, Item: r.Item}
			}
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			retry = true
		default:
			if i >= marks && refused == nil {
				refused = &ActionError{Action: i - marks, Code: code, Message: aws.ToString(r.Message)}
			}
		}
	}
	if outdated {
		return true, false, nil
	}
	return false, retry, refused
}

// token names the request: sent again it is done once. It follows from the actions, those of the marks and the others, and from the call: what was undone by hand, or is asked for again by another call, must not be taken for
// done because a token is remembered for ten minutes. Marks tell that.
func (c *call) token(actions []types.TransactWriteItem) (string, error) {
	text, err := json.Marshal(actions)
	if err != nil {
		return "", fmt.Errorf("ddbdedup: an action cannot be written down: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d ", c.nonce, c.n)
	h.Write(text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24]), nil
}

// get reads items consistently, each by itself; what is not there is nil. The rows are as many as keys, all of which differ.
func (s *Sink) get(ctx context.Context, c *call, keys ...item) ([]item, error) {
	const op = "BatchGetItem"
	places := make(map[string]int, len(keys))
	for i, key := range keys {
		places[nameOf(key)] = i
	}
	found := make([]item, len(keys))
	for wanted, n := keys, 1; len(wanted) > 0; n++ {
		batch := wanted[:min(maxKeys, len(wanted))]
		rest := wanted[len(batch):]
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			s.table: {Keys: batch, ConsistentRead: aws.Bool(true)},
		}})
		if err != nil {
			return nil, c.fail(ctx, op, err)
		}
		got := out.Responses[s.table]
		for _, it := range got {
			if i, ok := places[nameOf(it)]; ok {
				found[i] = it
			}
		}
		left := out.UnprocessedKeys[s.table].Keys
		wanted = append(slices.Clip(left), rest...)
		if len(left) == 0 || len(got) > 0 { // an answer is cut at 16 MB without any throttling
			n = 0
			continue
		}
		if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
			return nil, c.fail(ctx, op, err)
		}
	}
	return found, nil
}

// snapshot reads items as they are in one instant; what is not there is nil.
func (s *Sink) snapshot(ctx context.Context, c *call, keys []item) ([]item, error) {
	const op = "TransactGetItems"
	in := &dynamodb.TransactGetItemsInput{}
	for _, key := range keys {
		in.TransactItems = append(in.TransactItems, types.TransactGetItem{Get: &types.Get{TableName: &s.table, Key: key}})
	}
	for n := 1; ; n++ {
		out, err := s.client.TransactGetItems(ctx, in)
		if err == nil {
			found := make([]item, len(out.Responses))
			for i, r := range out.Responses {
				found[i] = r.Item
			}
			return found, nil
		}
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return nil, c.fail(ctx, op, err)
		}
		if _, conflict, _ := reasons(canceled.CancellationReasons, len(keys)); !conflict {
			return nil, c.fail(ctx, op, err)
		}
		if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
			return nil, c.fail(ctx, op, err)
		}
	}
}

// query reads the items of a partition consistently, in pages, until each returns false.
func (s *Sink) query(ctx context.Context, c *call, in *dynamodb.QueryInput, each func(it item) (bool, error)) error {
	const op = "Query"
	in.TableName, in.ConsistentRead = &s.table, aws.Bool(true)
	for {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return c.fail(ctx, op, err)
		}
		for _, it := range out.Items {
			more, err := each(it)
			if err != nil {
				return c.fail(ctx, op, err)
			}
			if !more {
				return nil
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// parallel calls f with 0 … n-1, maxRequests at once, and returns when all calls have, with one of their errors.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, maxRequests) {
		wg.Go(func() {
			for i := range next {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
