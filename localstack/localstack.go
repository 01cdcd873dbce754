package localstack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var (
	//go:embed run/java.sh
	javaWrapper []byte
	//go:embed run/localstack.py
	localStackMain string
)

// kinesisMockVersion is the one that install.sh pins: LocalStack looks for it in a folder of that name.
const kinesisMockVersion = "0.6.2"

// startNative starts LocalStack's own process, which starts the engines. Its file system is laid out anew each time,
// in a temporary folder with links to what is installed, so that several can run.
func startNative(ctx context.Context, o Options) (Clients, []*process, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return Clients{}, nil, fmt.Errorf("localstack: %w: %w", ErrMissing, err)
	}
	var p *process
	var c Clients
	err = onFreePorts(ctx, 1, func(ports []string) error {
		folder, err := os.MkdirTemp("", "runnel-localstack-*")
		if err != nil {
			return err
		}
		if err := o.layOut(folder); err != nil {
			return errors.Join(fmt.Errorf("localstack: lay out its files: %w", err), os.RemoveAll(folder))
		}
		at := "127.0.0.1:" + ports[0]
		env := []string{
			"OVERRIDE_IN_DOCKER=0", // it thinks it is, where it runs in some container, and then ignores FILESYSTEM_ROOT
			"FILESYSTEM_ROOT=" + filepath.Join(folder, "fs"), "GATEWAY_LISTEN=" + at,
			"SERVICES=kinesis,dynamodb,dynamodbstreams", "EAGER_SERVICE_LOADING=1",
			"PROVIDER_OVERRIDE_DYNAMODB=v2", "DYNAMODB_IN_MEMORY=1",
			"KINESIS_MOCK_VERSION=" + kinesisMockVersion, "KINESIS_LATENCY=10", "KINESIS_PERSISTENCE=0",
			"KINESIS_SHARD_LIMIT=100000", "KINESIS_ON_DEMAND_STREAM_COUNT_LIMIT=10000",
			"DISABLE_EVENTS=1", "SKIP_SSL_CERT_DOWNLOAD=1", "DNS_ADDRESS=0",
			"PYTHONDONTWRITEBYTECODE=1", // install.sh compiled everything
			"NODE_OPTIONS=--require " + filepath.Join(folder, "loopback.js"),
			"RUNNEL_JAVA=" + java, "RUNNEL_DYNAMODB_LOCAL=" + o.path(dynamoDBLocal),
		}
		p, err = launch(ctx, o, "localstack", folder, folder, env,
			o.path(localStack, "venv", "bin", "python"), "-c", localStackMain)
		if err != nil {
			return err
		}
		url := "http://" + at
		c = localClients(endpoints{Kinesis: url, DynamoDB: url, Streams: url})
		return p.ready(ctx, o, c)
	})
	if err != nil {
		return Clients{}, nil, err
	}
	return c, []*process{p}, nil
}

// layOut makes LocalStack find its engines where it would have downloaded them to.
func (o Options) layOut(folder string) error {
	lib := filepath.Join(folder, "fs", "var", "lib", "localstack", "lib")
	kinesis, dynamo := filepath.Join(lib, "kinesis-local"), filepath.Join(lib, "dynamodb-local", "2")
	bin := filepath.Join(lib, "java", "21", "bin")
	var errs []error
	usrLib := filepath.Join(folder, "fs", "usr", "lib")
	for _, dir := range []string{kinesis, dynamo, bin, usrLib} {
		errs = append(errs, os.MkdirAll(dir, 0o700))
	}
	errs = append(errs,
		os.Symlink(o.path(localStack, "usr", "lib", "localstack"), filepath.Join(usrLib, "localstack")),
		os.Symlink(o.path(kinesisMock), filepath.Join(kinesis, kinesisMockVersion)),
		os.Symlink(o.path(dynamoDBLocal, "lib"), filepath.Join(dynamo, "DynamoDBLocal_lib")),
		os.WriteFile(filepath.Join(dynamo, "DynamoDBLocal.jar"), nil, 0o600), // it is looked for, and replaced by java.sh
		os.WriteFile(filepath.Join(bin, "java"), javaWrapper, 0o700),
		os.WriteFile(filepath.Join(folder, "loopback.js"), loopback, 0o600))
	return errors.Join(errs...)
}
