package localstack

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is a way to have the services.
type Kind string

// The kinds, in the order in which Auto tries them.
const (
	// Auto takes the first kind that can be had.
	Auto Kind = "auto"
	// Environment uses the endpoints that the environment names.
	Environment Kind = "env"
	// Docker starts LocalStack in a container.
	Docker Kind = "docker"
	// Native starts LocalStack as a process.
	Native Kind = "native"
	// Engines starts kinesis-mock and DynamoDB Local as processes, without LocalStack.
	Engines Kind = "engines"
)

// ErrMissing matches every error that tells of a part that is not installed; its text names the command that helps.
var ErrMissing = errors.New("a part is missing")

// facts are what the choice of a kind depends on.
type facts struct {
	endpoints bool // the environment names endpoints, or allows AWS
	docker    bool // a container engine answers
	native    bool // LocalStack and its engines are installed
	engines   bool // kinesis-mock and DynamoDB Local are installed
}

// choose picks the kind. A forced kind is never replaced by another: a test that asks for LocalStack must not pass
// on the bare engines.
func choose(forced Kind, f facts) (Kind, error) {
	have := []struct {
		kind Kind
		ok   bool
		help string
	}{
		{Environment, f.endpoints, "set AWS_ENDPOINT_URL to a LocalStack, or RUNNEL_AWS=1 for AWS itself"},
		{Docker, f.docker, "start a container engine"},
		{Native, f.native, "run: make engines"},
		{Engines, f.engines, "run: make engines"},
	}
	names := []string{string(Auto)}
	for _, h := range have {
		switch forced {
		case h.kind:
			if !h.ok {
				return "", fmt.Errorf("localstack: %w for the stack %q: %s", ErrMissing, h.kind, h.help)
			}
			return h.kind, nil
		case Auto, "":
			if h.ok {
				return h.kind, nil
			}
		}
		names = append(names, string(h.kind))
	}
	if forced != Auto && forced != "" {
		return "", fmt.Errorf("localstack: no stack is called %q: use one of %s", forced, strings.Join(names, ", "))
	}
	return "", fmt.Errorf("localstack: %w: no endpoint in the environment, no container engine, nothing installed: "+
		"run: make engines", ErrMissing)
}
