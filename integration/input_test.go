//go:build engines

package integration

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// fails runs a consumer whose Run must return an error that wraps want and has all the texts.
func fails(t *testing.T, cfg consumer.Config, want error, texts ...string) {
	t.Helper()
	err := run(t, cfg).returns(t)
	if !errors.Is(err, want) {
		t.Fatalf("Run returned %v, want %v", err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// nothingMoved fails the test if something was handled or a lease was made.
func nothingMoved(t *testing.T, b *bench) {
	t.Helper()
	if n := b.log.distinct(); n > 0 {
		t.Errorf("%d items were handled", n)
	}
	if rows := b.rows(t); len(rows) > 0 {
		t.Errorf("leases were made: %+v", rows)
	}
}

func TestStreamThatDoesNotExist(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		cfg := b.config("worker", b.clients)
		cfg.Source = streamOf(b.service(), "no-such-stream", b.clients).source(b.clients)
		fails(t, cfg, consumer.ErrNoStream, "no-such-stream", `region "us-east-1"`)
		nothingMoved(t, b)
	})
}

func TestTableWithoutAStream(t *testing.T) {
	t.Parallel()
	tab := makeTable(t, stack.Clients, nil)
	b := newBench(t, stack.Clients, tab)
	fails(t, b.config("worker", b.clients), consumer.ErrNoStream, tab.table, "enable one")
	nothingMoved(t, b)
}

// denied is clients whose every call is refused.
func denied(c localstack.Clients, code string) localstack.Clients {
	return through(c, func(r *request) (*response, error) {
		return r.refuse(code, "injected: the credentials are wrong")
	})
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"UnrecognizedClientException", "InvalidSignatureException"} {
		t.Run(code, func(t *testing.T) {
			onBoth(t, 1, func(t *testing.T, b *bench) {
				b.put(t, keys(2), 1)
				cfg := b.config("worker", b.clients)
				cfg.Source = b.source(denied(b.clients, code))
				fails(t, cfg, consumer.ErrDenied, b.name(), code, "check the credentials")
				nothingMoved(t, b)
			})
		})
	}
}

func TestWrongCredentialsOfTheLeaseTable(t *testing.T) {
	t.Parallel()
	b, _ := onKinesis(t, 1)
	b.put(t, keys(2), 1)
	const code = "UnrecognizedClientException"
	cfg := b.config("worker", b.clients)
	cfg.Leases = ddblease.New(denied(b.clients, code).DynamoDB(), b.leases, nil)
	fails(t, cfg, lease.ErrDenied, b.leases, code)
	nothingMoved(t, b)
}

func TestLeaseTableOfAnotherShape(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		other := unique("other")
		_, err := b.clients.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &other, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dropTable(t, b.clients, other) })
		b.put(t, keys(2), 1)
		cfg := b.config("worker", b.clients)
		cfg.Leases = ddblease.New(b.clients.DynamoDB(), other, nil)
		fails(t, cfg, lease.ErrTable, other, "HASH leaseKey")
		nothingMoved(t, b)
	})
}

// A name that belongs to one stream is used for another: the second consumer is refused, and the first goes on.
func TestTwoStreamsOfOneName(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, b *bench) {
		first := run(t, b.config("first", b.clients))
		b.put(t, keys(5), 1)
		b.awaitAll(t)
		var other stream = newKinesisStream(t, stack.Clients, 1)
		if b.service() != kinesisService {
			other = newTable(t, stack.Clients, "NEW_IMAGE")
		}
		before := len(b.rows(t))
		cfg := b.config("second", b.clients)
		cfg.Source = other.source(b.clients)
		fails(t, cfg, lease.ErrStream, b.app, b.name(), other.name())
		if now := len(b.rows(t)); now != before {
			t.Errorf("%d leases became %d", before, now)
		}
		b.put(t, keys(5), 1)
		b.awaitAll(t)
		first.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}
