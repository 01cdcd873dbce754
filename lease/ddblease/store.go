package ddblease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

const (
	// maxKeys is the limit of one BatchGetItem:
	// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
	maxKeys = 100
	// maxRequests is how many requests one call has under way at once.
	maxRequests = 16
)

// leftOver is the wait before keys are asked for again that a BatchGetItem left unprocessed. The SDK does not retry them.
var leftOver = backoff.Policy{Base: 50 * time.Millisecond, Cap: 2 * time.Second}

// Config changes how a [Store] treats its table. The zero value is the default.
type Config struct {
	// MustExist says that the table is made by somebody else: Setup checks it and never makes it, and needs no permission to.
	// Defaults to false: Setup makes the table if it is missing.
	MustExist bool
}

// Store is a [lease.Store] on a DynamoDB table. It is safe for concurrent use and starts no goroutine that outlives a call.
type Store struct {
	client *dynamodb.Client
	table  string
	cfg    Config
}

// New returns a store on the table of that name, or ARN, in the client's account and region. It does no I/O: [Store.Setup] makes the table. A
// nil cfg is the default. The client's own retryer decides how often and how long throttled requests are retried, within ctx.
func New(client *dynamodb.Client, table string, cfg *Config) *Store {
	s := &Store{client: client, table: table}
	if cfg != nil {
		s.cfg = *cfg
	}
	return s
}

// Validate refuses a store that cannot work, without any request.
func (s *Store) Validate() error {
	if s.client == nil || s.table == "" {
		return errors.New("ddblease: New needs a client and the name of a table")
	}
	return nil
}

// Get reads rows consistently, a hundred a request.
func (s *Store) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	asked := make(map[string]bool, len(keys)) // a BatchGetItem that names a key twice is refused
	for _, key := range keys {
		asked[key] = true
	}
	chunks := slices.Collect(slices.Chunk(slices.Collect(maps.Keys(asked)), maxKeys))
	answers := make([]map[string]lease.Row, len(chunks))
	errs := make([]error, len(chunks))
	parallel(len(chunks), func(i int) { answers[i], errs[i] = s.batch(ctx, chunks[i]) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	stored := make(map[string]lease.Row, len(asked))
	for _, answer := range answers {
		maps.Copy(stored, answer)
	}
	rows := make([]lease.Row, len(keys))
	for i, key := range keys {
		row := stored[key]
		row.Key, row.Value = key, slices.Clone(row.Value) // a key may be asked for twice
		rows[i] = row
	}
	return rows, nil
}

// batch reads up to maxKeys different keys. Absent rows are absent from the answer.
func (s *Store) batch(ctx context.Context, keys []string) (map[string]lease.Row, error) {
	what := fmt.Sprintf("read %d rows", len(keys))
	if len(keys) == 1 {
		what = fmt.Sprintf("read %q", keys[0])
	}
	wanted := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for _, key := range keys {
		group, name, err := split(key)
		if err != nil {
			return nil, s.fault(ctx, "", what, err)
		}
		wanted.Keys = append(wanted.Keys, itemKey(group, name))
	}
	rows := make(map[string]lease.Row, len(keys))
	for failures := 0; len(wanted.Keys) > 0; {
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.table: wanted},
		})
		if err != nil {
			return nil, s.fault(ctx, "BatchGetItem", what, err)
		}
		got := 0
		for _, items := range out.Responses { // named by the table, or by its ARN if that was asked for
			for _, item := range items {
				row := s.decode(item)
				rows[row.Key] = row
				got++
			}
		}
		wanted.Keys = nil
		for _, left := range out.UnprocessedKeys {
			wanted.Keys = append(wanted.Keys, left.Keys...)
		}
		if len(wanted.Keys) == 0 {
			break
		}
		// An answer is cut at 16 MB without any throttling: what made headway goes on at once.
		if failures++; got > 0 {
			failures = 0
			continue
		}
		if err := backoff.Wait(ctx, leftOver.Delay(failures)); err != nil {
			return nil, s.fault(ctx, "BatchGetItem", what+", of which DynamoDB left some unprocessed", err)
		}
	}
	return rows, nil
}

// Put writes each row by a conditional PutItem of its own, sixteen at once.
func (s *Store) Put(ctx context.Context, rows []lease.Row) []error {
	return s.each(ctx, rows, s.put)
}

// Delete removes each row by a conditional DeleteItem of its own, sixteen at once.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.each(ctx, rows, s.remove)
}

// each applies write to rows, and answers nil when all were written. One request for all of them does not exist: TransactWriteItems writes none when one is a conflict, at twice the
// price, and BatchWriteItem has no conditions.
func (s *Store) each(ctx context.Context, rows []lease.Row, write func(context.Context, lease.Row) error) []error {
	errs := make([]error, len(rows))
	parallel(len(rows), func(i int) { errs[i] = write(ctx, rows[i]) })
	if errors.Join(errs...) == nil {
		return nil
	}
	return errs
}

func (s *Store) put(ctx context.Context, row lease.Row) error {
	what := fmt.Sprintf("write %q", row.Key)
	item, err := encode(row)
	if err != nil {
		return s.fault(ctx, "", what, err)
	}
	met, values := condition(row.Version)
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                item,
		ConditionExpression:                 met,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	// The stamp is of this call alone. An item that has it was written by an earlier sending of this request, whose answer was lost: that is no conflict. With a cursor that is kept
	// nothing tells our item from another writer's of the same text – two workers that bury one session write the same –, nor does an item that is gone tell who
	// deleted it: of these only the caller can learn more, by reading.
	var failed *types.ConditionalCheckFailedException
	if row.Cursor == "" && errors.As(err, &failed) && reflect.DeepEqual(failed.Item, item) {
		return nil
	}
	return s.written(ctx, "PutItem", what, row, err)
}

func (s *Store) remove(ctx context.Context, row lease.Row) error {
	what := fmt.Sprintf("delete %q", row.Key)
	group, name, err := split(row.Key)
	if err != nil {
		return s.fault(ctx, "", what, err)
	}
	met, values := condition(row.Version)
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                           &s.table,
		Key:                                 itemKey(group, name),
		ConditionExpression:                 met,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return s.written(ctx, "DeleteItem", what, row, err)
}

// written turns the answer to a conditional write into the error of its row.
func (s *Store) written(ctx context.Context, op, what string, row lease.Row, err error) error {
	if err == nil {
		return nil
	}
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return s.fault(ctx, op, what, err)
	}
	found := "it does not exist"
	if failed.Item != nil {
		found = "its item is corrupt" // until it decodes
		if stored := s.decode(failed.Item); stored.Err == nil {
			found = fmt.Sprintf("it has version %d", stored.Version)
		}
	}
	return fmt.Errorf("ddblease: table %q: %s at version %d: %w: %s", s.table, what, row.Version, lease.ErrConflict, found)
}

// parallel calls f with 0 … n-1, maxRequests at once, and returns when all calls have.
func parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, maxRequests) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
