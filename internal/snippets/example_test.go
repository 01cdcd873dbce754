package snippets_test

import (
	"expvar"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// What stands in documents and in no package's examples.

func tableMadeBeforehand(cfg aws.Config) lease.Store {
	leases := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", &ddblease.Config{MustExist: true})
	return leases
}

func metrics(cfg consumer.Config) consumer.Config {
	counts := expvar.NewMap("orders-index")
	cfg.Hooks = consumer.JoinHooks(cfg.Hooks, consumer.Hooks{
		Handled: func(e consumer.Handled) { counts.Add("records", int64(e.Records)) },
		Retried: func(consumer.Retried) { counts.Add("retries", 1) },
		Gap:     func(consumer.Gap) { counts.Add("gaps", 1) },
		Error:   func(consumer.Failed) { counts.Add("errors", 1) },
		Lost:    func(e consumer.Lost) { counts.Add("shards lost: "+string(e.Reason), 1) },
	})
	return cfg
}

var _, _ = tableMadeBeforehand, metrics
