package ddblease

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// looks is the wait between two looks at a table that is not ready: a table takes seconds on AWS and none on DynamoDB Local.
var looks = backoff.Policy{Base: 50 * time.Millisecond, Cap: 2 * time.Second}

const notFound = "ResourceNotFoundException"

// Setup makes the table if it is missing, waits until it and its index are active, and checks its shape: an error about it wraps
// [lease.ErrTable] and names what differs. It waits as long as ctx allows. Workers may call it in the same instant.
func (s *Store) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	for n := 1; ; n++ {
		ready, err := s.look(ctx)
		if ready || err != nil {
			return err
		}
		if err := backoff.Wait(ctx, looks.Delay(n)); err != nil {
			return s.fault(ctx, "", "wait until it is active", err)
		}
	}
}

// look tells whether the table can be used, after making it if it is missing.
func (s *Store) look(ctx context.Context) (ready bool, err error) {
	out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
	switch {
	case awserr.Code(err) == notFound && s.cfg.MustExist:
		return false, fmt.Errorf("ddblease: table %q does not exist in this account and region, and Config.MustExist forbids to make it: make it as the package's documentation says, or unset MustExist: %w", s.table, err)
	case awserr.Code(err) == notFound:
		return false, s.create(ctx)
	case err != nil:
		return false, s.fault(ctx, "DescribeTable", "look at it", err)
	case out.Table == nil:
		return false, fmt.Errorf("ddblease: table %q: DescribeTable has an answer without a table: is the endpoint DynamoDB's?", s.table)
	}
	switch out.Table.TableStatus {
	case types.TableStatusDeleting:
		return false, nil // its successor is made once it is gone
	case types.TableStatusActive, types.TableStatusCreating, types.TableStatusUpdating:
	default:
		return false, fmt.Errorf("ddblease: table %q cannot be used: its status is %s", s.table, out.Table.TableStatus)
	}
	if faults := differences(out.Table); faults != nil {
		return false, fmt.Errorf("ddblease: table %q: %w: %s: it is no table of leases: use another name",
			s.table, lease.ErrTable, strings.Join(faults, "; "))
	}
	return active(out.Table), nil
}

// create makes the table. The answer that it exists is none to complain of: somebody else made it in the same instant, or DescribeTable did not see it
// yet.
func (s *Store) create(ctx context.Context) error {
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &s.table,
		AttributeDefinitions: []types.AttributeDefinition{text(attrGroup), text(attrName), text(attrCursor)},
		KeySchema:            schema(attrGroup, attrName),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  new(indexName),
			KeySchema:  schema(attrGroup, attrCursor),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
		BillingMode: types.BillingModePayPerRequest,
	})
	if err == nil || awserr.Code(err) == "ResourceInUseException" {
		return nil
	}
	return s.fault(ctx, "CreateTable", "make it, for it does not exist", err)
}

func schema(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: &hash, KeyType: types.KeyTypeHash},
		{AttributeName: &sort, KeyType: types.KeyTypeRange},
	}
}
