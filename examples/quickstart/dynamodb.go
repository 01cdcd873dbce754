package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
)

// tableBox is the stream of a DynamoDB table that has an item for each voter.
type tableBox struct {
	ledger

	client  *dynamodb.Client
	streams *dynamodbstreams.Client
	table   string
	create  bool // if it is missing
}

func newTableBox(cfg aws.Config, o options, db *sql.DB) *tableBox {
	d := &tableBox{client: dynamodb.NewFromConfig(cfg), streams: dynamodbstreams.NewFromConfig(cfg), table: o.dynamodb, create: o.create}
	d.ledger = ledger{db: db, box: d.name()}
	return d
}

func (d *tableBox) name() string { return "dynamodb:" + d.table }

func (d *tableBox) source() consumer.Source { return ddbsource.New(d.client, d.streams, d.table, nil) }

func (d *tableBox) decode(r consumer.Record) (vote, error) {
	c, err := ddbsource.Decode[vote](r)
	if err != nil || c.New == nil { // removed, by somebody else
		return vote{}, err
	}
	return *c.New, nil
}

func (d *tableBox) prepare(ctx context.Context) error {
	out, err := d.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &d.table})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing) && d.create:
		return d.make(ctx)
	case errors.As(err, &missing):
		return fmt.Errorf("make the table with: aws dynamodb create-table --table-name %s --billing-mode PAY_PER_REQUEST "+
			"--attribute-definitions AttributeName=voter,AttributeType=S --key-schema AttributeName=voter,KeyType=HASH "+
			"--stream-specification StreamEnabled=true,StreamViewType=NEW_IMAGE\nor give -create: %w", d.table, err)
	case err != nil:
		return fmt.Errorf("dynamodb:%s: %w", d.table, err)
	}
	if key := out.Table.KeySchema; len(key) != 1 || aws.ToString(key[0].AttributeName) != "voter" {
		return fmt.Errorf("dynamodb:%s: its key is not the attribute voter alone: give another table", d.table)
	}
	if s := out.Table.StreamSpecification; s == nil || !aws.ToBool(s.StreamEnabled) ||
		s.StreamViewType != types.StreamViewTypeNewImage && s.StreamViewType != types.StreamViewTypeNewAndOldImages {
		return fmt.Errorf("dynamodb:%s: it has no stream with new images: enable it with: aws dynamodb update-table --table-name %[1]s "+
			"--stream-specification StreamEnabled=true,StreamViewType=NEW_IMAGE", d.table)
	}
	return nil
}

func (d *tableBox) make(ctx context.Context) error {
	_, err := d.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &d.table,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("voter"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("voter"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(d.client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &d.table}, time.Minute)
}

// lanes put votes side by side; a voter's are in one of them, and so in their order. Odd, because the boxes take every second voter.
const lanes = 7

func (d *tableBox) put(ctx context.Context, votes []vote) error {
	puts, laneCtx := errgroup.WithContext(ctx)
	for lane := range lanes {
		puts.Go(func() error {
			for _, v := range votes {
				if share(v.Voter, lanes) != lane {
					continue
				}
				// Also a ballot that is sent once more changes the item, because records are numbered: a write without change has no record.
				item, err := attributevalue.MarshalMap(v)
				if err != nil {
					return err
				}
				if _, err := d.client.PutItem(laneCtx, &dynamodb.PutItemInput{TableName: &d.table, Item: item}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := puts.Wait(); err != nil {
		return err
	}
	return d.note(ctx, votes[len(votes)-1].N)
}
