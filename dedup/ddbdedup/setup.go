package ddbdedup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/backoff"
)

// looks is the wait between two looks at a table that is not ready: a table takes seconds on AWS and none on DynamoDB Local.
var looks = backoff.Policy{Base: 50 * time.Millisecond, Cap: 2 * time.Second}

// Setup makes the table if it is missing, waits until it is active, and checks its shape: an error about that wraps [ErrTable] and names what differs. With [Config].TTL it has the table delete items that have expired. Every error wraps
// [dedup.ErrUnavailable] or [ErrTable]. It waits as long as ctx allows. Workers may call it in the same instant.
func (s *Sink) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	for n := 1; ; n++ {
		ready, err := s.ready(ctx)
		if err != nil {
			return err
		}
		if ready {
			return s.expire(ctx)
		}
		if err := backoff.Wait(ctx, looks.Delay(n)); err != nil {
			return s.fault(ctx, dedup.ErrUnavailable, "DescribeTable", "wait until it is active", err)
		}
	}
}

// ready tells whether the table can be used, after making it if it is missing.
func (s *Sink) ready(ctx context.Context) (bool, error) {
	const op = "DescribeTable"
	out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
	switch {
	case awserr.Of(err) == awserr.NotFound && s.cfg.MustExist:
		return false, s.fault(ctx, dedup.ErrUnavailable, op, "look at it, which Config.MustExist forbids to make", err)
	case awserr.Of(err) == awserr.NotFound:
		return false, s.create(ctx)
	case err != nil:
		return false, s.fault(ctx, dedup.ErrUnavailable, op, "look at it", err)
	case out.Table == nil:
		return false, s.fault(ctx, dedup.ErrUnavailable, op, "look at it", errors.New("an answer without a table: is the endpoint DynamoDB's?"))
	}
	switch status := out.Table.TableStatus; status {
	case types.TableStatusDeleting:
		return false, nil // its successor is made once it is gone
	case types.TableStatusActive, types.TableStatusCreating, types.TableStatusUpdating:
	default:
		return false, s.fault(ctx, dedup.ErrUnavailable, op, "use it", fmt.Errorf("its status is %s", status))
	}
	if faults := differences(out.Table); faults != nil {
		return false, fmt.Errorf("ddbdedup: table %q: %w: %s: use another name", s.table, ErrTable, strings.Join(faults, "; "))
	}
	return out.Table.TableStatus != types.TableStatusCreating, nil
}

// create makes the table. The answer that it exists is none to complain of: somebody else made it in the same instant, or DescribeTable did not see it yet.
func (s *Sink) create(ctx context.Context) error {
	_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &s.table,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrPartition), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeB},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(attrPartition), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
		},
		BillingMode: types.BillingModePayPerRequest,
	})
	if err == nil || awserr.Code(err) == "ResourceInUseException" {
		return nil
	}
	return s.fault(ctx, dedup.ErrUnavailable, "CreateTable", "make it, for it does not exist", err)
}

// differences tells how a table differs from the one that Setup makes; nil if it can be used.
func differences(table *types.TableDescription) (faults []string) {
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range table.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	var parts []string
	for _, e := range table.KeySchema {
		name := aws.ToString(e.AttributeName)
		parts = append(parts, fmt.Sprintf("%s %s (%s)", e.KeyType, name, kinds[name]))
	}
	if got, want := strings.Join(parts, ", "), "HASH p (S), RANGE k (B)"; got != want {
		faults = append(faults, fmt.Sprintf("its key is %s; want %s", got, want))
	}
	const legacy = "2017.11.29" // the version of global tables that DescribeTable names without listing their replicas
	replicated := len(table.Replicas) > 0 && table.MultiRegionConsistency != types.MultiRegionConsistencyStrong
	if replicated || aws.ToString(table.GlobalTableVersion) == legacy {
		faults = append(faults, "it is replicated across regions, where the last writer wins and transactions are not kept; want no replica")
	}
	return faults
}

// expire has the table delete what has expired.
func (s *Sink) expire(ctx context.Context) error {
	if s.cfg.TTL == 0 {
		return nil
	}
	on, err := s.expires(ctx)
	if on || err != nil {
		return err
	}
	if s.cfg.MustExist {
		return fmt.Errorf("ddbdedup: table %q: %w: its time to live is off, and Config.MustExist forbids to change it; want it on attribute %s", s.table, ErrTable, attrExpiry)
	}
	_, err = s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &s.table, TimeToLiveSpecification: &types.TimeToLiveSpecification{
		AttributeName: aws.String(attrExpiry), Enabled: aws.Bool(true),
	}})
	if err == nil {
		return nil
	}
	if on, looked := s.expires(ctx); on || looked != nil { // somebody else has switched it on in the same instant
		return looked
	}
	return s.fault(ctx, dedup.ErrUnavailable, "UpdateTimeToLive", "switch on its time to live", err)
}

// expires tells whether the table deletes what has expired, or will soon.
func (s *Sink) expires(ctx context.Context) (bool, error) {
	out, err := s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table})
	if err != nil {
		return false, s.fault(ctx, dedup.ErrUnavailable, "DescribeTimeToLive", "look at its time to live", err)
	}
	ttl := out.TimeToLiveDescription
	if ttl == nil || ttl.TimeToLiveStatus != types.TimeToLiveStatusEnabled && ttl.TimeToLiveStatus != types.TimeToLiveStatusEnabling {
		return false, nil
	}
	if name := aws.ToString(ttl.AttributeName); name != attrExpiry {
		return false, fmt.Errorf("ddbdedup: table %q: %w: its time to live is attribute %s, want %s", s.table, ErrTable, name, attrExpiry)
	}
	return true, nil
}

// expiry is when a mark of PerID that is written now may go, in seconds since 1970.
func (s *Sink) expiry() uint64 { return uint64(time.Now().Add(s.cfg.TTL).Unix()) }
