package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
)

// aws is the configuration of the environment, as every AWS program takes it. An endpoint of one's own takes any credentials.
func (o options) aws(ctx context.Context) (aws.Config, error) {
	// What the SDK overcomes, such as an answer of DynamoDB Local without a checksum, it tells the terminal: not on this board.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return cfg, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if o.endpoint == "" {
		if cfg.Region == "" {
			return cfg, fmt.Errorf("no AWS region is configured: set AWS_REGION, or give -endpoint")
		}
		return cfg, nil
	}
	cfg.BaseEndpoint = aws.String(o.endpoint)
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		cfg.Credentials = credentials.NewStaticCredentialsProvider("test", "test", "")
	}
	return cfg, nil
}
