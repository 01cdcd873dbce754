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
func startEngines(ctx context.Context, o Options) (Clients, []*process, error) {
	var (
		wg       sync.WaitGroup
		kinesis  Clients
		mock     *process
		d        *DynamoDB
		errMock  error
		errLocal error
	)
	wg.Go(func() { kinesis, mock, errMock = startKinesis(ctx, o) })
	wg.Go(func() { d, errLocal = StartDynamoDB(ctx, o) })
	wg.Wait()
	switch {
	case errMock != nil && errLocal != nil:
		return Clients{}, nil, errors.Join(errMock, errLocal)
	case errMock != nil:
		return Clients{}, nil, errors.Join(errMock, d.Close())
	case errLocal != nil:
		return Clients{}, nil, errors.Join(errLocal, mock.stop())
	}
	c := localClients(endpoints{Kinesis: kinesis.at.Kinesis, DynamoDB: d.at.DynamoDB, Streams: d.at.Streams})
	return c, []*process{mock, d.part}, nil
}

// startKinesis starts kinesis-mock. Its streams are ready, split and merged in 10 ms.
func startKinesis(ctx context.Context, o Options) (Clients, *process, error) {
	var c Clients
	var p *process
	err := onFreePorts(ctx, 2, func(ports []string) error {
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
		p, err = launch(ctx, o, "kinesis-mock", folder, dir, env, "node", "--require", preload, "main.js")
		if err != nil {
			return err
		}
		c = localClients(endpoints{Kinesis: "http://127.0.0.1:" + ports[0]})
		return p.ready(ctx, o, c)
	})
	return c, p, err
}
