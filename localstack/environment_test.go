package localstack

import (
	"strings"
	"testing"
	"time"
)

func clearEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"RUNNEL_STACK", "RUNNEL_AWS", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_DYNAMODB",
		"AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
	} {
		t.Setenv(name, "")
	}
}

func TestChildFindsTheSameServices(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://localhost:1") // must not win over what the parent hands on
	parent := local(t, endpoints{Kinesis: service(t), DynamoDB: service(t)})
	for _, pair := range parent.Env() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	child, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if child.Kind != Environment || child.at != parent.at {
		t.Errorf("got %s at %+v, want %+v", child.Kind, child.at, parent.at)
	}
	if err := child.Close(); err != nil {
		t.Error(err)
	}
}

func TestOneEndpointServesAll(t *testing.T) {
	clearEnvironment(t)
	url := service(t)
	t.Setenv("AWS_ENDPOINT_URL", url)
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (endpoints{url, url, url}); s.Kind != Environment || s.at != want {
		t.Errorf("got %s at %+v, want %+v", s.Kind, s.at, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAWSNeedsTheSwitch(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://dynamodb.eu-west-1.amazonaws.com")
	_, err := Start(t.Context(), Options{Timeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), "RUNNEL_AWS=1") {
		t.Errorf("got %v", err)
	}
}

func TestDeadEndpointIsNamed(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	_, err := Start(t.Context(), Options{Timeout: 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}
