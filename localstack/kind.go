package localstack

import (
	"errors"
	"fmt"
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

// facts are what the choice of a kind depends on: nil where it can be had, else why not.
type facts struct{ environment, docker, native, engines error }

// choose picks the kind. A forced kind is never replaced by another: a test that asks for LocalStack must not pass
// on the bare engines.
func choose(forced Kind, f facts) (Kind, error) {
	kinds := []struct {
		kind    Kind
		missing error
	}{{Environment, f.environment}, {Docker, f.docker}, {Native, f.native}, {Engines, f.engines}}
	if forced == Auto {
		for _, k := range kinds {
			if k.missing == nil {
				return k.kind, nil
			}
		}
		return "", fmt.Errorf("localstack: no endpoint in the environment, no container engine, and %w", f.engines)
	}
	for _, k := range kinds {
		if k.kind == forced && k.missing != nil {
			return "", fmt.Errorf("localstack: RUNNEL_STACK=%s: %w", forced, k.missing)
		}
		if k.kind == forced {
			return forced, nil
		}
	}
	return "", fmt.Errorf("localstack: no stack is called %q: use one of %q", forced,
		[]Kind{Auto, Environment, Docker, Native, Engines})
}
