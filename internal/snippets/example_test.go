package snippets_test

import (
	"context"
	"errors"
	"expvar"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// What stands in documents and in no package's examples.

func tableMadeBeforehand(cfg aws.Config) lease.Store {
	leases := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", &ddblease.Config{MustExist: true})
	return leases
}

func givingUp(h consumer.Handler) consumer.Handler {
	handler := consumer.Each(func(ctx context.Context, r consumer.Record) error {
		err := h.Handle(ctx, []consumer.Record{r})
		if bad := (*consumer.DecodeError)(nil); errors.As(err, &bad) {
			return consumer.Permanent(err) // given up at once, as Failure.Then says
		}
		return err
	})
	return handler
}

func liveness(mux *http.ServeMux, c *consumer.Consumer) {
	mux.HandleFunc("/live", func(w http.ResponseWriter, _ *http.Request) {
		if !c.Status().Running {
			http.Error(w, "the consumer does not run", http.StatusServiceUnavailable)
		}
	})
}

func metrics(cfg consumer.Config) consumer.Config {
	counts := expvar.NewMap(cfg.Name)
	cfg.Hooks = consumer.JoinHooks(cfg.Hooks, consumer.Hooks{
		Handled:      func(e consumer.Handled) { counts.Add("records", int64(e.Records)) },
		Checkpointed: func(consumer.Checkpointed) { counts.Add("positions stored", 1) },
		Retried:      func(consumer.Retried) { counts.Add("retries", 1) },
		GivenUp:      func(e consumer.GivenUp) { counts.Add("given up: "+string(e.Reason), 1) },
		Gap:          func(consumer.Gap) { counts.Add("gaps", 1) },
		Error:        func(consumer.Failed) { counts.Add("errors", 1) },
		Lost:         func(e consumer.Lost) { counts.Add("shards lost: "+string(e.Reason), 1) },
	})
	return cfg
}

func gauges(c *consumer.Consumer) {
	expvar.Publish(c.Status().Name+" shards", expvar.Func(func() any {
		shards := map[string]map[string]any{}
		for _, s := range c.Status().Shards {
			failing := 0.0
			if s.Failing != nil {
				failing = time.Since(s.Since).Seconds()
			}
			shards[s.Shard] = map[string]any{
				"behind seconds":  s.Behind.Seconds(), // negative: unknown
				"failing seconds": failing,
				"failing records": s.FailingRecords,
				"parked keys":     s.Parked,
				"in flight":       s.InFlight,
				"handled":         s.Handled.String(),
				"stored":          s.Stored.String(),
			}
		}
		return shards
	}))
}

func migrate(cfg *consumer.Config, oldest time.Time) {
	cfg.Start = checkpoint.AtTime(oldest.Add(-5 * time.Minute))
}

func operate(ctx context.Context, leases lease.Store, source consumer.Source) error {
	operator := lease.Operator{Store: leases, App: "orders-index"}
	application, err := operator.Describe(ctx) // workers and shards, who has what, and what is asked
	if err != nil {
		return err
	}
	if err := operator.Pause(ctx, application.Shards[0].Shard); err != nil { // PauseAll: all of them
		return err
	}
	if err := operator.Resume(ctx, application.Shards[0].Shard); err != nil {
		return err
	}
	// Everything that the stream still holds is processed again, in a new generation.
	if _, err := operator.Reset(ctx, lease.Reset{All: true, Held: consumer.Held(source)}); err != nil {
		return err
	}
	return operator.Drain(ctx, "orders-1") // it goes on without shards, until Undrain
}

var _, _, _ = tableMadeBeforehand, migrate, operate
