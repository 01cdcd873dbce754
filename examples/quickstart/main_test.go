package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram makes the test's executable the program itself, and so its workers too.
const asProgram = "QUICKSTART_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// program is a running quickstart.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	said  strings.Builder
}

func start(t *testing.T, flags ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &program{t: t, cmd: exec.CommandContext(ctx, os.Args[0], flags...)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	return p
}

// await reads on until a line matches, and returns what the expression's groups matched.
func (p *program) await(expression string) []string {
	p.t.Helper()
	for re := regexp.MustCompile(expression); p.lines.Scan(); {
		p.said.WriteString(p.lines.Text() + "\n")
		if match := re.FindStringSubmatch(p.lines.Text()); match != nil {
			return match[1:]
		}
	}
	p.t.Fatalf("no line matched %q:\n%s", expression, p.said.String())
	return nil
}

// end waits for the end of the program, and returns all it has said.
func (p *program) end(code int) string {
	p.t.Helper()
	for p.lines.Scan() {
		p.said.WriteString(p.lines.Text() + "\n")
	}
	_ = p.cmd.Wait() // its state is what counts
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("the exit code is %d, want %d:\n%s", got, code, p.said.String())
	}
	return p.said.String()
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// The defaults, with fewer votes.
func TestQuickstartSurvivesAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, "-dir", dir, "-records", "6000")
	p.await(`killed worker-\d \(process \d+\) with SIGKILL: it had shards \d`)
	p.await(`shard \d of worker-\d is handled by worker-\d, \d+\.\d s after the death`)
	const line = `^applied 6000 of 6000 records, 0 lost, 0 applied twice, (\d+) redelivered, takeover in (\d+\.\d) s$`
	numbers := p.await(line)
	p.end(0)
	if redelivered, err := strconv.Atoi(numbers[0]); err != nil || redelivered == 0 {
		t.Errorf("%s redelivered: a worker that is killed leaves some", numbers[0])
	}
	if took, err := strconv.ParseFloat(numbers[1], 64); err != nil || took < 8 || took > 20 {
		t.Errorf("the takeover took %s s", numbers[1])
	}

	again := start(t, "-dir", dir)
	if got := again.await(line); got[0] != numbers[0] || got[1] != numbers[1] {
		t.Errorf("a second look says %v, the first said %v", got, numbers)
	}
	again.end(0)
}

// A clean stop in the middle: what was counted is not delivered again.
func TestQuickstartGoesOnAfterCtrlC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	flags := []string{"-dir", dir, "-records", "4000", "-over", "6s", "-kill=false"}
	p := start(t, flags...)
	p.await(`applied [1-9]\d* of 4000`)
	other := start(t, flags...)
	if said := other.end(1); !strings.Contains(said, "another quickstart works in "+dir) {
		t.Errorf("a second one on the same directory says\n%s", said)
	}
	p.signal(os.Interrupt)
	if said := p.end(1); !strings.Contains(said, "give the same flags and -dir "+dir) || strings.Contains(said, "0 lost") {
		t.Errorf("interrupted, it says\n%s", said)
	}
	again := start(t, flags...)
	again.await(`^applied 4000 of 4000 records, 0 lost, 0 applied twice, 0 redelivered, no worker killed$`)
	again.end(0)
}

// Killed itself, the program leaves its workers to stop on their own, and maybe half a line.
func TestQuickstartGoesOnAfterItsOwnDeath(t *testing.T) {
	t.Parallel()
	flags := []string{"-dir", t.TempDir(), "-records", "4000", "-over", "6s", "-kill=false"}
	p := start(t, flags...)
	p.await(`applied [1-9]\d* of 4000`)
	p.signal(os.Kill)
	p.end(-1)
	again := start(t, flags...)
	again.await(`^applied 4000 of 4000 records, 0 lost, 0 applied twice, \d+ redelivered, no worker killed$`)
	again.end(0)
}

func TestFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"-workers 0: give at least 1":                  {"-workers", "0", "-kill=false"},
		"nobody could take over":                       {"-workers", "1"},
		"-records 0: give at least 1":                  {"-records", "0"},
		"-over -1s: give a positive time":              {"-over", "-1s"},
		"give -kinesis or -dynamodb too":               {"-endpoint", "http://localhost:4566"},
		"[\"surplus\"] is no flag":                     {"surplus"},
		"flag provided but not defined: -no-such-flag": {"-no-such-flag"},
	} {
		if _, err := parse(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: the error is %v, want %q", args, err, want)
		}
	}
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.records != 100_000 || o.workers != 3 || !o.kill || o.streams() != "files" {
		t.Errorf("the defaults are %+v", o)
	}
}
