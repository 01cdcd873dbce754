package localstack

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"sync"
)

//go:embed run/loopback.js
var loopback []byte

// javaFlags make the JVM start in a second and leave no file behind.
var javaFlags = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx256m"}

// startEngines starts both engines, at once.
func startEngines(ctx context.Context, o Options) (Clients, func() error, error) {
	var (
		wg   sync.WaitGroup
		k    *engine
		d    *DynamoDB
		errK error
		errD error
	)
	wg.Go(func() { k, errK = startKinesis(ctx, o) })
	wg.Go(func() { d, errD = StartDynamoDB(ctx, o) })
	wg.Wait()
	if err := errors.Join(errK, errD); err != nil {
		if errK == nil {
			err = errors.Join(err, k.stop())
		}
		if errD == nil {
			err = errors.Join(err, d.Close())
		}
		return Clients{}, nil, err
	}
	at := d.at
	at.Kinesis = k.url
	stop := func() error { return errors.Join(k.stop(), d.Close()) }
	return localClients(at), stop, nil
}

type engine struct {
	*process
	url string
}

// startKinesis starts kinesis-mock. Its streams are ready, split and merged in 10 ms.
func startKinesis(ctx context.Context, o Options) (*engine, error) {
	var e *engine
	return e, onFreePorts(ctx, 2, func(ports []string) error {
		folder, err := os.MkdirTemp("", "runnel-kinesis-*")
		if err != nil {
			return err
		}
		preload := filepath.Join(folder, "loopback.js")
		if err := os.WriteFile(preload, loopback, 0o600); err != nil {
			return errors.Join(err, os.RemoveAll(folder))
		}
		env := []string{
			"KINESIS_MOCK_PLAIN_PORT=" + ports[0], "KINESIS_MOCK_TLS_PORT=" + ports[1], "LOG_LEVEL=WARN",
			"AWS_ACCOUNT_ID=000000000000", "SHARD_LIMIT=100000", "ON_DEMAND_STREAM_COUNT_LIMIT=10000",
		}
		for _, what := range []string{
			"CREATE_STREAM", "DELETE_STREAM", "REGISTER_STREAM_CONSUMER", "DEREGISTER_STREAM_CONSUMER", "MERGE_SHARDS",
			"SPLIT_SHARD", "UPDATE_SHARD_COUNT", "UPDATE_STREAM_MODE", "START_STREAM_ENCRYPTION", "STOP_STREAM_ENCRYPTION",
		} {
			env = append(env, what+"_DURATION=10ms")
		}
		// It reads server.json from its working directory.
		dir := o.path(kinesisMock, "node_modules", "kinesis-local")
		p, err := launch(ctx, o, "kinesis-mock", folder, dir, env, "node", "--require", preload, "main.js")
		if err != nil {
			return err
		}
		e = &engine{p, "http://127.0.0.1:" + ports[0]}
		return p.ready(ctx, o, localClients(endpoints{Kinesis: e.url}))
	})
}
