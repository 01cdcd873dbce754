package localstack

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// onFreePorts calls start with n ports, and again with others if the part ends before it answers, as it does when
// someone else took a port in between.
func onFreePorts(ctx context.Context, n int, start func(ports []string) error) error {
	const attempts = 3
	var errs []error
	for range attempts {
		ports := make([]string, n)
		for i := range ports {
			var err error
			if ports[i], err = freePort(ctx); err != nil {
				return err
			}
		}
		err := start(ports)
		if !errors.Is(err, errEnded) {
			return err
		}
		errs = append(errs, err)
	}
	return errs[len(errs)-1]
}

// ready waits until p answers, and stops it if it does not.
func (p *process) ready(ctx context.Context, o Options, c Clients) error {
	defer c.CloseIdleConnections()
	if err := await(ctx, o, p, p.name, c.probe); err != nil {
		return errors.Join(err, p.stop())
	}
	return nil
}

// probe asks each service once.
func (c Clients) probe(ctx context.Context) error {
	var errs []error
	if c.at.Kinesis != "" {
		_, err := c.Kinesis(func(o *kinesis.Options) { o.RetryMaxAttempts = 1 }).ListStreams(ctx, nil)
		errs = append(errs, err)
	}
	if c.at.DynamoDB != "" {
		_, err := c.DynamoDB(func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 }).ListTables(ctx, nil)
		errs = append(errs, err)
	}
	if c.at.Streams != "" {
		_, err := c.Streams(func(o *dynamodbstreams.Options) { o.RetryMaxAttempts = 1 }).ListStreams(ctx, nil)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ask it: %w", err)
	}
	return nil
}
