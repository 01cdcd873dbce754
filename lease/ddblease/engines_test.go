//go:build engines

package ddblease_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/lease/leasetest"
)

// newTable is a name of a table that t deletes when it ends.
func newTable(t *testing.T) string {
	t.Helper()
	name := "ddblease-" + rand.Text()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := stack.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
		var missing *types.ResourceNotFoundException
		if err != nil && !errors.As(err, &missing) {
			t.Errorf("delete table %s: %v", name, err)
		}
	})
	return name
}

// newStore is a store on a table of its own.
func newStore(t *testing.T) (*ddblease.Store, string) {
	t.Helper()
	name := newTable(t)
	s := ddblease.New(stack.DynamoDB(), name, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, name
}

func TestStoreConforms(t *testing.T) {
	leasetest.Suite{
		New: func(t *testing.T) lease.Store { return ddblease.New(stack.DynamoDB(), newTable(t), nil) },
		Faulty: func(t *testing.T) leasetest.Faulty {
			direct, table := newStore(t)
			var line *leasetest.Transport
			clients := stack.Through(func(next http.RoundTripper) http.RoundTripper {
				line = leasetest.NewTransport(next, throttled)
				return line
			})
			store := ddblease.New(clients.DynamoDB(), table, nil)
			return leasetest.Faulty{Store: store, Direct: direct, Line: line}
		},
	}.Run(t)
}

// throttled is the answer of a service that is asked too much.
func throttled(r *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusBadRequest,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(strings.NewReader(`{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"too many"}`)),
		Request:    r,
	}
}

// Several clients, as several processes have them, make one table.
func TestManyStoresMakeOneTable(t *testing.T) {
	name := newTable(t)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = ddblease.New(stack.DynamoDB(), name, nil).Setup(t.Context()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := ddblease.New(stack.DynamoDB(), name, &ddblease.Config{MustExist: true}).Setup(t.Context()); err != nil {
		t.Fatalf("the table that Setup made does not pass its check: %v", err)
	}
}

func TestATableOfAnotherShapeIsRefused(t *testing.T) {
	name := newTable(t)
	_, err := stack.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &name,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = ddblease.New(stack.DynamoDB(), name, nil).Setup(t.Context())
	if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), "HASH leaseKey (S)") || !strings.Contains(err.Error(), name) {
		t.Fatalf("%v; want lease.ErrTable, the table and its key", err)
	}
}

func TestACorruptRowSaysSo(t *testing.T) {
	s, name := newStore(t)
	_, err := stack.DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
		"g": &types.AttributeValueMemberS{Value: "a/"}, "k": &types.AttributeValueMemberS{Value: "row"},
		"v": &types.AttributeValueMemberS{Value: "one"}, "c": &types.AttributeValueMemberS{Value: "c"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Get(t.Context(), []string{"a/row"})
	if err != nil || !errors.Is(rows[0].Err, lease.ErrRow) || !strings.Contains(rows[0].Err.Error(), `"a/row"`) {
		t.Errorf("Get: %+v, %v; want lease.ErrRow and the key", rows, err)
	}
	for row, err := range s.List(t.Context(), "a/", "") {
		if err != nil || !errors.Is(row.Err, lease.ErrRow) {
			t.Errorf("List: %+v, %v; want lease.ErrRow", row, err)
		}
	}
	for _, version := range []uint64{0, 1} {
		if errs := s.Put(t.Context(), []lease.Row{{Key: "a/row", Version: version, Value: []byte(`{}`)}}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Errorf("Put at version %d: %v; want lease.ErrConflict, for what is not understood is not overwritten", version, errs)
		}
	}
}

// Hazard 17, with the real service: the write is applied, its answer is lost, the client sends it again. One that was stamped recognises itself; of one that kept its cursor the caller
// learns by reading.
func TestHazard17ALostAnswerIsResolvedByItsStampOrByReading(t *testing.T) {
	s, name := newStore(t)
	var sent atomic.Int64
	losing := stack.Through(func(next http.RoundTripper) http.RoundTripper {
		line := leasetest.NewTransport(next, nil)
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			line.Set(leasetest.None)
			if sent.Add(1)%2 == 1 {
				line.Set(leasetest.Lost)
			}
			return line.RoundTrip(r)
		})
	})
	store := ddblease.New(losing.DynamoDB(), name, nil)
	row := lease.Row{Key: "a/row", Value: []byte(`{"owner":"me"}`)}
	if errs := store.Put(t.Context(), []lease.Row{row}); errs != nil {
		t.Errorf("stamped: %v; want nil, for the stored item is the one that was sent", errs)
	}
	rows, err := s.Get(t.Context(), []string{row.Key})
	if err != nil || rows[0].Version != 1 || string(rows[0].Value) != string(row.Value) {
		t.Fatalf("%+v, %v; want the row as it was sent", rows, err)
	}
	kept := rows[0]
	kept.Value = []byte(`{"owner":"me","position":1}`)
	errs := store.Put(t.Context(), []lease.Row{kept})
	if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "it has version 2") {
		t.Errorf("kept: %v; want lease.ErrConflict and the version that was written", errs)
	}
	if n := sent.Load(); n != 4 {
		t.Errorf("%d sendings; want two of each write", n)
	}
	rows, err = s.Get(t.Context(), []string{row.Key})
	if err != nil || rows[0].Version != 2 || string(rows[0].Value) != string(kept.Value) {
		t.Errorf("%+v, %v; want the row as it was sent", rows, err)
	}
}

// An answer of BatchGetItem ends at 16 MB, and leaves the other keys unprocessed.
func TestGetOfMoreThanOneAnswerHolds(t *testing.T) {
	s, _ := newStore(t)
	rows := make([]lease.Row, 60)
	keys := make([]string, len(rows))
	for i := range rows {
		keys[i] = fmt.Sprintf("a/%d", i)
		rows[i] = lease.Row{Key: keys[i], Value: []byte(`"` + strings.Repeat("x", 300*1024+i) + `"`)}
	}
	if errs := s.Put(t.Context(), rows); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	got, err := s.Get(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range got {
		if row.Version != 1 || len(row.Value) != len(rows[i].Value) {
			t.Errorf("%s has version %d and %d bytes; want 1 and %d", row.Key, row.Version, len(row.Value), len(rows[i].Value))
		}
	}
}

// The limit that the store refuses beyond is none that the service refuses below.
func TestTheLargestItemIsTaken(t *testing.T) {
	s, _ := newStore(t)
	row := lease.Row{Key: "a/row", Version: 0, Value: []byte(strings.Repeat("x", 400*1024))}
	if errs := s.Put(t.Context(), []lease.Row{row}); len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "DynamoDB takes 409600") {
		t.Fatalf("%v; want a refusal", errs)
	}
	const others = len("gkvcb") + len("a/row") + len("2006-01-02T15:04:05.000000000Z-00000000") + 12
	row.Value = row.Value[:400*1024-others]
	if errs := s.Put(t.Context(), []lease.Row{row}); errs != nil {
		t.Fatal(errs)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
