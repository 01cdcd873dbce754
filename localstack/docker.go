package localstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Image is the LocalStack that Docker runs, the same as in compose.yaml. Later ones want a token.
const Image = "localstack/localstack:4.9.2"

// dockerEnv is what compose.yaml sets, too.
var dockerEnv = map[string]string{
	"SERVICES":                             "kinesis,dynamodb,dynamodbstreams",
	"EAGER_SERVICE_LOADING":                "1",
	"PROVIDER_OVERRIDE_DYNAMODB":           "v2",
	"DYNAMODB_IN_MEMORY":                   "1",
	"KINESIS_LATENCY":                      "10",
	"KINESIS_SHARD_LIMIT":                  "100000",
	"KINESIS_ON_DEMAND_STREAM_COUNT_LIMIT": "10000",
	"DISABLE_EVENTS":                       "1",
}

// dockerAnswers returns nil if a container engine can be used.
func dockerAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.New(io.Discard, "", 0)))
	if err == nil {
		err = p.Health(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: no container engine answers: %w", ErrMissing, err)
	}
	return nil
}

// startDocker starts LocalStack in a container, which the reaper of testcontainers removes should this process die.
func startDocker(ctx context.Context, o Options) (Clients, func() error, error) {
	const port = "4566/tcp"
	container, err := testcontainers.Run(ctx, Image,
		testcontainers.WithExposedPorts(port),
		testcontainers.WithEnv(dockerEnv),
		testcontainers.WithLogger(log.New(o.Log, "", 0)),
		testcontainers.WithWaitStrategyAndDeadline(o.Timeout, wait.ForHTTP("/_localstack/health").WithPort(port)))
	stop := func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return Clients{}, nil, fmt.Errorf("localstack: start %s in Docker (RUNNEL_STACK=native does without): %w",
			Image, errors.Join(err, stop()))
	}
	url, err := container.PortEndpoint(ctx, port, "http")
	if err != nil {
		return Clients{}, nil, errors.Join(err, stop())
	}
	c := localClients(endpoints{Kinesis: url, DynamoDB: url, Streams: url})
	if err := await(ctx, o, nil, Image, c.probe); err != nil {
		return Clients{}, nil, errors.Join(err, stop())
	}
	return c, stop, nil
}
