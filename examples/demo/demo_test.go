//go:build engines

package main_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// The demo does what it says, from its flags to its last line.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	demo := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", demo, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
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
