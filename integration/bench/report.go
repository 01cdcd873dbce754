package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
)

// report writes results in Go's benchmark format: https://go.dev/design/14313-benchmark-format.
type report struct {
	out io.Writer
	err error // the first one
}

// metric is one figure of a result. Units of time are in nanoseconds: benchstat turns "ns" in them into "sec".
type metric struct {
	value float64
	unit  string
}

func (r *report) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format, args...); r.err == nil {
		r.err = err
	}
}

// machine says where and how it was measured. Hosts have no name here.
func (r *report) machine(ctx context.Context, command string) {
	r.printf("goos: %s\ngoarch: %s\npkg: github.com/runnelhq/runnel/integration/bench\n", runtime.GOOS, runtime.GOARCH)
	r.printf("go: %s\ncores: %d\n", strings.TrimPrefix(runtime.Version(), "go"), runtime.NumCPU())
	if kernel, err := exec.CommandContext(ctx, "uname", "-r").Output(); err == nil {
		r.printf("kernel: %s\n", strings.TrimSpace(string(kernel)))
	}
	r.printf("command: bench %s\n", command)
}

// note is a line that benchstat does not read.
func (r *report) note(format string, args ...any) { r.printf("# "+format+"\n", args...) }

// result is one line.
func (r *report) result(name string, metrics ...metric) {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s 1", name)
	for _, m := range metrics {
		fmt.Fprintf(&b, "\t%.5g %s", m.value, m.unit)
	}
	r.printf("%s\n", b.String())
}
