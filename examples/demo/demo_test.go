//go:build engines

package main_test

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/localstack"
)

func build(ctx context.Context, t *testing.T) string {
	t.Helper()
	demo := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", demo, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return demo
}

// The demo does what it says, from its flags to its last line.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	demo := build(ctx, t)
	run := exec.CommandContext(ctx, demo, "-records", "2000", "-dir", t.TempDir())
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo failed: %v\n%s", err, out)
	}
	for _, want := range []string{
		`killed worker-\d \(process \d+\) with SIGKILL`,
		`\napplied 2000 of 2000 records, 0 lost, 0 applied twice, [1-9]\d* redelivered, takeover in \d+\.\d s\n$`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the demo did not print %q:\n%s", want, out)
		}
	}
}

// What -serve prints leads another program to the services, until SIGTERM ends them, unless they are those of the environment.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	serve := exec.CommandContext(ctx, build(ctx, t), "-serve")
	serve.Cancel = func() error { return serve.Process.Signal(syscall.SIGTERM) } // it has to stop its services
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	var kind string
	printed := map[string]bool{}
	for lines := bufio.NewScanner(out); !printed["AWS_SECRET_ACCESS_KEY"] && lines.Scan(); { // it is the last
		if k, ok := strings.CutPrefix(lines.Text(), "services: "); ok {
			kind = k
		}
		if v, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
			printed[name] = true
		}
	}
	for _, name := range []string{"AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if !printed[name] {
			t.Errorf("it did not print %s", name)
		}
	}
	list := func() error {
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1))
		if err != nil {
			t.Fatal(err)
		}
		_, streams := kinesis.NewFromConfig(cfg).ListStreams(ctx, nil)
		_, tables := dynamodb.NewFromConfig(cfg).ListTables(ctx, nil)
		return errors.Join(streams, tables)
	}
	if err := list(); err != nil {
		t.Errorf("what it serves does not answer: %v", err)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("SIGTERM ends it with %v", err)
	}
	if err := list(); (err == nil) != (kind == string(localstack.Environment)) {
		t.Errorf("services of the kind %q after its end: %v", kind, err)
	}
}
