package snippets_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// What stands in documents and in no package's examples.

func tableMadeBeforehand(cfg aws.Config) lease.Store {
	leases := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", &ddblease.Config{MustExist: true})
	return leases
}

var _ = tableMadeBeforehand
