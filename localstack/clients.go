package localstack

import (
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// endpoints are base URLs. An empty one is a service that is not there, or AWS's own where AWS is allowed.
type endpoints struct {
	Kinesis, DynamoDB, Streams string
}

// Clients makes clients of one set of services. They share connections.
type Clients struct {
	cfg   aws.Config
	at    endpoints
	aws   bool
	base  *http.Transport
	chain func(http.RoundTripper) http.RoundTripper
}

func newClients(cfg aws.Config, at endpoints, aws bool) Clients {
	return Clients{cfg: cfg, at: at, aws: aws, base: &http.Transport{
		Proxy:               http.ProxyFromEnvironment, // never for loopback
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     10 * time.Second, // below the engines' own, so that they do not close under a request
		TLSHandshakeTimeout: 10 * time.Second,
	}}
}

// Through returns Clients of the same services whose requests pass wrap, which may fail, delay or change them and
// their answers. The bodies of requests are in memory and may be read and replaced. Called again, it wraps what was
// wrapped.
func (c Clients) Through(wrap func(http.RoundTripper) http.RoundTripper) Clients {
	inner := c.chain
	c.chain = func(rt http.RoundTripper) http.RoundTripper {
		if inner != nil {
			rt = inner(rt)
		}
		return wrap(rt)
	}
	return c
}

// Kinesis returns a client of Kinesis.
func (c Clients) Kinesis(optFns ...func(*kinesis.Options)) *kinesis.Client {
	return kinesis.NewFromConfig(c.cfg, append([]func(*kinesis.Options){func(o *kinesis.Options) {
		o.BaseEndpoint, o.HTTPClient = c.endpoint(c.at.Kinesis), c.http("KINESIS", c.at.Kinesis)
	}}, optFns...)...)
}

// DynamoDB returns a client of DynamoDB.
func (c Clients) DynamoDB(optFns ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.NewFromConfig(c.cfg, append([]func(*dynamodb.Options){func(o *dynamodb.Options) {
		o.BaseEndpoint, o.HTTPClient = c.endpoint(c.at.DynamoDB), c.http("DYNAMODB", c.at.DynamoDB)
	}}, optFns...)...)
}

// Streams returns a client of DynamoDB Streams.
func (c Clients) Streams(optFns ...func(*dynamodbstreams.Options)) *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(c.cfg, append([]func(*dynamodbstreams.Options){func(o *dynamodbstreams.Options) {
		o.BaseEndpoint, o.HTTPClient = c.endpoint(c.at.Streams), c.http("DYNAMODB_STREAMS", c.at.Streams)
	}}, optFns...)...)
}

// CloseIdleConnections closes connections that no request uses, and so ends their goroutines.
func (c Clients) CloseIdleConnections() { c.base.CloseIdleConnections() }

func (c Clients) endpoint(url string) *string {
	switch {
	case url != "":
		return &url
	case c.aws:
		return nil
	default:
		none := "http://localhost" // never called: see http
		return &none
	}
}

func (c Clients) http(service, url string) *http.Client {
	var rt http.RoundTripper = c.base
	if url == "" && !c.aws {
		rt = roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("localstack: this stack has no such service: set AWS_ENDPOINT_URL_%s", service)
		})
	}
	if c.chain != nil {
		rt = c.chain(rt)
	}
	return &http.Client{
		Transport:     wholeBody{rt},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
