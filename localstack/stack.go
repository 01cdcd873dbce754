package localstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Options say which services to have and where their parts are. The zero value is the default.
type Options struct {
	// Kind is the stack to use. Defaults to RUNNEL_STACK, else Auto.
	Kind Kind
	// Cache is the folder into which make engines installed the parts. Defaults to RUNNEL_CACHE, else .cache beside
	// the go.mod of this module, looked for from the working directory upwards.
	Cache string
	// Log receives what the parts print. Defaults to nothing; errors quote the last lines anyway.
	Log io.Writer
	// Timeout bounds the wait for a part to answer. Defaults to two minutes.
	Timeout time.Duration
}

func (o Options) withDefaults() Options {
	o.Kind = cmp.Or(o.Kind, Kind(os.Getenv("RUNNEL_STACK")), Auto)
	o.Cache = cmp.Or(o.Cache, os.Getenv("RUNNEL_CACHE"), defaultCache())
	if dir, err := filepath.Abs(o.Cache); o.Cache != "" && err == nil {
		o.Cache = dir // parts run in folders of their own
	}
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

// Stack is a running set of services. It is safe for concurrent use.
type Stack struct {
	Clients
	// Kind is the kind that was chosen: never Auto.
	Kind Kind

	parts     []*process
	container func() error // ends the container; nil if there is none
}

// Start chooses a kind of stack, starts it and returns once every service answers. ctx and Options.Timeout bound the
// start only; what was started lives until Close. Errors match ErrMissing where a part is not installed.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o = o.withDefaults()
	kind, err := choose(o.Kind, o.facts(ctx))
	if err != nil {
		return nil, err
	}
	s := &Stack{Kind: kind}
	switch kind {
	case Environment:
		s.Clients, err = fromEnvironment(ctx, o)
	case Docker:
		s.Clients, s.container, err = startDocker(ctx, o)
	case Native:
		s.Clients, s.parts, err = startNative(ctx, o)
	case Engines:
		s.Clients, s.parts, err = startEngines(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends what Start started and removes its files. Data is lost. A stack of the environment stays as it is.
func (s *Stack) Close() error {
	s.CloseIdleConnections()
	var errs []error
	for _, p := range s.parts {
		errs = append(errs, p.stop())
	}
	if s.container != nil {
		errs = append(errs, s.container())
	}
	return errors.Join(errs...)
}

func (o Options) facts(ctx context.Context) facts {
	f := facts{
		native:  o.missing(kinesisMock, dynamoDBLocal, localStack),
		engines: o.missing(kinesisMock, dynamoDBLocal),
	}
	if environmentEndpoints() == (endpoints{}) && !allowAWS() {
		f.environment = fmt.Errorf("%w: set AWS_ENDPOINT_URL to a LocalStack, or RUNNEL_AWS=1 for AWS itself", ErrMissing)
	}
	if o.Kind == Docker || o.Kind == Auto && f.environment != nil {
		f.docker = dockerAnswers(ctx)
	}
	return f
}

func allowAWS() bool { return os.Getenv("RUNNEL_AWS") == "1" }

func environmentEndpoints() endpoints {
	all := os.Getenv("AWS_ENDPOINT_URL")
	return endpoints{
		Kinesis:  cmp.Or(os.Getenv("AWS_ENDPOINT_URL_KINESIS"), all),
		DynamoDB: cmp.Or(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"), all),
		Streams:  cmp.Or(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), all),
	}
}

func fromEnvironment(ctx context.Context, o Options) (Clients, error) {
	at := environmentEndpoints()
	if allowAWS() {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return Clients{}, fmt.Errorf("localstack: load the AWS configuration: %w", err)
		}
		return newClients(cfg, at, true), nil
	}
	for _, e := range []string{at.Kinesis, at.DynamoDB, at.Streams} {
		if u, err := url.Parse(e); err != nil || strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
			return Clients{}, errors.Join(err, fmt.Errorf("localstack: %s is no local endpoint: "+
				"set RUNNEL_AWS=1 to use AWS itself", e))
		}
	}
	c := localClients(at)
	o.Timeout = min(o.Timeout, 15*time.Second) // it was started before
	return c, await(ctx, o, nil, fmt.Sprintf("the stack at %+v", at), c.probe)
}

// localClients are clients of services that take any credentials: the environment's where it has some, since
// LocalStack reads the account from them.
func localClients(at endpoints) Clients {
	return newClients(aws.Config{
		Region: cmp.Or(os.Getenv("AWS_REGION"), "us-east-1"),
		Credentials: credentials.NewStaticCredentialsProvider(
			cmp.Or(os.Getenv("AWS_ACCESS_KEY_ID"), "test"), cmp.Or(os.Getenv("AWS_SECRET_ACCESS_KEY"), "test"), ""),
	}, at, false)
}

// Env returns the environment, to be added to a child process's, in which its Start finds these same services.
func (c Clients) Env() []string {
	env := []string{
		"RUNNEL_STACK=" + string(Environment),
		"AWS_REGION=" + c.cfg.Region,
		"AWS_ENDPOINT_URL=",
		"AWS_ENDPOINT_URL_KINESIS=" + c.at.Kinesis,
		"AWS_ENDPOINT_URL_DYNAMODB=" + c.at.DynamoDB,
		"AWS_ENDPOINT_URL_DYNAMODB_STREAMS=" + c.at.Streams,
	}
	if c.aws {
		return append(env, "RUNNEL_AWS=1")
	}
	creds, err := c.cfg.Credentials.Retrieve(context.Background())
	if err != nil { // static credentials are always there
		return env
	}
	return append(env, "RUNNEL_AWS=", "AWS_SESSION_TOKEN=",
		"AWS_ACCESS_KEY_ID="+creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+creds.SecretAccessKey)
}
