package ddblease

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// legacyGlobal is the version of global tables that DescribeTable names without listing their replicas.
const legacyGlobal = "2017.11.29"

// differences tells how a table differs from the one that Setup makes; nil if it can be used.
func differences(table *types.TableDescription) (faults []string) {
	differ := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range table.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	if got, want := keys(table.KeySchema, kinds), "HASH g (S), RANGE k (S)"; got != want {
		differ("its key is %s; want %s", got, want)
	}
	switch index := changes(table); {
	case index == nil:
		differ("it has no global secondary index %q", indexName)
	case index.IndexStatus == types.IndexStatusDeleting:
		differ("its index %q is being deleted", indexName)
	default:
		if got, want := keys(index.KeySchema, kinds), "HASH g (S), RANGE c (S)"; got != want {
			differ("the key of its index %q is %s; want %s", indexName, got, want)
		}
		if index.Projection == nil || index.Projection.ProjectionType != types.ProjectionTypeKeysOnly {
			differ("its index %q projects more than the keys, so that every checkpoint would cost a write of the index; want KEYS_ONLY", indexName)
		}
	}
	replicated := len(table.Replicas) > 0 && table.MultiRegionConsistency != types.MultiRegionConsistencyStrong
	if replicated || aws.ToString(table.GlobalTableVersion) == legacyGlobal {
		differ("it is replicated across regions, where the last writer wins, so that two workers could own one shard; " +
			"want no replica, or multi-Region strong consistency")
	}
	return faults
}

// active tells whether nothing of the table is under way.
func active(table *types.TableDescription) bool {
	return table.TableStatus == types.TableStatusActive && changes(table).IndexStatus == types.IndexStatusActive
}

// changes is the index, nil if there is none.
func changes(table *types.TableDescription) *types.GlobalSecondaryIndexDescription {
	for i := range table.GlobalSecondaryIndexes {
		if aws.ToString(table.GlobalSecondaryIndexes[i].IndexName) == indexName {
			return &table.GlobalSecondaryIndexes[i]
		}
	}
	return nil
}

// keys writes a key down: "HASH g (S), RANGE k (S)".
func keys(schema []types.KeySchemaElement, kinds map[string]types.ScalarAttributeType) string {
	var parts []string
	for _, e := range schema {
		name := aws.ToString(e.AttributeName)
		parts = append(parts, fmt.Sprintf("%s %s (%s)", e.KeyType, name, kinds[name]))
	}
	return strings.Join(parts, ", ")
}
