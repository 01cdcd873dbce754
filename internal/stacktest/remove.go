package stacktest

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/localstack"
)

// RemoveStream deletes a stream at the end of the test: the services may be somebody else's.
func RemoveStream(t *testing.T, s *localstack.Stack, name string) {
	t.Helper()
	atEnd(t, func(ctx context.Context) error {
		_, err := s.Kinesis().DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name})
		return err
	})
}

// RemoveTable deletes a table at the end of the test.
func RemoveTable(t *testing.T, s *localstack.Stack, name string) {
	t.Helper()
	atEnd(t, func(ctx context.Context) error {
		_, err := s.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
		return err
	})
}

func atEnd(t *testing.T, remove func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := remove(ctx); err != nil && !t.Failed() { // of a test that failed it may not exist
			t.Error(err)
		}
	})
}
