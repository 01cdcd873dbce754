package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// endpoint is a stub in a process of its own.
type endpoint struct {
	process *process
	url     string
}

func startEndpoint(ctx context.Context, l load) (*endpoint, error) {
	p, err := launch(ctx, task{Role: "stub", Load: l}, serverCore)
	if err != nil {
		return nil, fmt.Errorf("start the endpoint: %w", err)
	}
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the endpoint: %w", err), p.stop())
	}
	return &endpoint{process: p, url: strings.TrimSpace(line)}, nil
}

// env is the environment in which package localstack finds the endpoint.
func (e *endpoint) env() []string {
	return []string{
		"RUNNEL_AWS=", "AWS_ENDPOINT_URL=", "AWS_ENDPOINT_URL_KINESIS=" + e.url, "AWS_ENDPOINT_URL_DYNAMODB=" + e.url,
		"AWS_ENDPOINT_URL_DYNAMODB_STREAMS=" + e.url,
	}
}

// calls is how many calls of GetRecords were answered.
func (e *endpoint) calls(ctx context.Context) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+callsPath, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func (e *endpoint) stop() error { return e.process.stop() }
