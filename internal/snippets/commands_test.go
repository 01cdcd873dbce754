package snippets_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/internal/markdown"
)

// runBy names what runs a target of make or a program: a file, and a test function or a command in it.
type runBy struct{ file, what string }

var (
	targets = map[string]runBy{
		"check":             {".ci/run", "make check"},
		"test":              {".ci/run", "make test"},
		"test-unit":         {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"test-localstack":   {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"test-engines":      {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"engines":           {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"demo":              {"Makefile", "go run ./examples/demo"}, // see programs
		"bench":             {"Makefile", "bench"},                  // takes minutes: its results are committed with the command
		"sim":               {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"faults":            {"Makefile", "test: engines test-unit sim faults test-localstack test-engines"},
		"sim-long":          {"Makefile", "sim-long"}, // for a night
		"bench-leases":      {"Makefile", "bench-leases"},
		"chaos":             {"Makefile", "chaos"}, // likewise, and so are the next ones
		"chaos-long":        {"Makefile", "chaos-long"},
		"exactly-once-long": {"Makefile", "exactly-once-long"},
		"life":              {"Makefile", "life"},
		"exactly-once":      {"integration/exactly/run_engines_test.go", "func TestTransfersStandOnce("}, // the same in short
		"fuzz":              {"Makefile", "fuzz"},                                                        // the seeds run with the unit tests
	}
	programs = map[string]runBy{
		"./examples/demo":       {"examples/demo/demo_test.go", "func TestServe("}, // as documents have it run; make demo is TestDemo
		"./examples/kinesis":    {"examples/kinesis/main_test.go", "func TestKinesis("},
		"./examples/dynamodb":   {"examples/dynamodb/main_test.go", "func TestDynamoDB("},
		"./examples/outbox":     {"examples/outbox/engines_test.go", "func TestOutbox("},
		"./examples/orders":     {"examples/orders/main_test.go", "func TestOrders("},
		"./examples/quickstart": {"examples/quickstart/main_test.go", "func TestQuickstartSurvivesAKill("},
	}
	// environment are the variables that a document may have its reader set.
	environment = []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RUNNEL_AWS", "RUNNEL_STACK", "RUNNEL_CACHE"}
)

// command is one command of a document, as words.
type command struct {
	markdown.Block
	words []string
}

func (c command) String() string { return strings.Join(c.words, " ") }

// commands are those of all documents, in their order.
func commands(t *testing.T) []command {
	t.Helper()
	var all []command
	for _, b := range blocks(t) {
		if b.Lang != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(b.Text, "\\\n", " ")) {
			words, err := split(line)
			if err != nil {
				t.Errorf("%s: %v: %s", b.At(), err, line)
			}
			for _, part := range slices.Collect(chained(words)) {
				all = append(all, command{b, part})
			}
		}
	}
	return all
}

// chained are the commands of a line that && joins.
func chained(words []string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(words) > 0 {
			i := slices.Index(words, "&&")
			if i < 0 {
				i = len(words)
			}
			if !yield(words[:i]) {
				return
			}
			words = words[min(i+1, len(words)):]
		}
	}
}

// split makes words as a shell does, of what documents use: quotes, comments, and nothing that expands.
func split(line string) ([]string, error) {
	var words []string
	word, quote, open := "", rune(0), false
	for i, c := range strings.TrimSpace(line) {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'' || quote != 0 && !strings.ContainsRune("$`\\", c):
			word += string(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ' || c == '\t':
			if open {
				words, word, open = append(words, word), "", false
			}
		case c == '#' && !open:
			return words, nil
		case strings.ContainsRune("$`\\|;<>*?()", c) || c == '&' && !strings.HasPrefix(strings.TrimSpace(line)[max(i-1, 0):], "&&") && !strings.HasPrefix(strings.TrimSpace(line)[i:], "&&"):
			return nil, fmt.Errorf("%q is more shell than the tests understand: write a command that stands alone", c)
		default:
			word, open = word+string(c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is never closed", quote)
	}
	if open {
		words = append(words, word)
	}
	return words, nil
}

// Every command is run by a test: the AWS CLI's by TestAWSCommands on the engines, programs and targets of make by what the tables above name.
func TestCommandsAreRun(t *testing.T) {
	found := commands(t)
	if len(found) == 0 {
		t.Error("no document has a command: nothing is compared")
	}
	for _, c := range found {
		if err := check(t, c.words); err != nil {
			t.Errorf("%s: %s: %v", c.At(), c, err)
		}
	}
}

func check(t *testing.T, words []string) error {
	t.Helper()
	for len(words) > 1 && assignment.MatchString(words[0]) { // NAME=value before a command
		if err := variable(words[0]); err != nil {
			return err
		}
		words = words[1:]
	}
	switch {
	case words[0] == "export":
		for _, w := range words[1:] {
			if err := variable(w); err != nil {
				return err
			}
		}
		return nil
	case words[0] == "make":
		return target(t, words[1:])
	case words[0] == "go" && len(words) > 2 && words[1] == "run":
		return program(t, words[2], words[3:])
	case words[0] == "aws":
		_, err := parseAWS(words)
		return err
	case slices.Equal(words, []string{"go", "test", "./..."}): // what the tests are run by
		return nil
	case slices.Equal(words, strings.Fields("docker compose -f localstack/compose.yaml up --wait")):
		// Not run: there may be no container engine. Package localstack's TestPins compares the image with the one that the tests run.
		_, err := os.Stat(filepath.Join(root, "localstack", "compose.yaml"))
		return err
	case slices.Equal(words, []string{"git", "clone", "https://" + module(t)}), slices.Equal(words, []string{"cd", filepath.Base(module(t))}):
		return nil // how a reader comes to have this file
	case slices.Equal(words, []string{"go", "get", module(t)}):
		return nil // not run: it needs the module to be published
	}
	return fmt.Errorf("nothing runs it: add what does to internal/snippets/commands_test.go, or leave it out")
}

var assignment = regexp.MustCompile(`^[A-Z_]+=`)

func variable(w string) error {
	name, _, ok := strings.Cut(w, "=")
	if !ok || !slices.Contains(environment, name) {
		return fmt.Errorf("%s is none of the variables %q", w, environment)
	}
	return nil
}

func module(t *testing.T) string {
	t.Helper()
	line, _, _ := strings.Cut(read(t, "go.mod"), "\n")
	return strings.TrimPrefix(line, "module ")
}

func target(t *testing.T, words []string) error {
	t.Helper()
	makefile := read(t, "Makefile")
	for _, w := range words {
		if assignment.MatchString(w) {
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(w) + `:`).MatchString(makefile) {
			return fmt.Errorf("the Makefile has no target %s", w)
		}
		by, ok := targets[w]
		if !ok {
			return fmt.Errorf("say in targets what runs it: %q", slices.Sorted(maps.Keys(targets)))
		}
		if !strings.Contains(read(t, by.file), by.what) {
			return fmt.Errorf("%s does not have %q, which runs it: correct targets", by.file, by.what)
		}
	}
	return nil
}

// program checks that a test runs the program, and that it knows the flags.
func program(t *testing.T, path string, args []string) error {
	t.Helper()
	by, ok := programs[path]
	if !ok {
		return fmt.Errorf("say in programs which test runs it: %q", slices.Sorted(maps.Keys(programs)))
	}
	if !strings.Contains(read(t, by.file), by.what) {
		return fmt.Errorf("%s does not have %q, which runs it: correct programs", by.file, by.what)
	}
	flags := flagsOf(t, path)
	for _, a := range args {
		name, isFlag := strings.CutPrefix(a, "-")
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if isFlag && !slices.Contains(flags, name) {
			return fmt.Errorf("it has no flag -%s: it has %q", name, flags)
		}
	}
	return nil
}

// flagsOf are the names of the flags that a program defines: the first texts in calls of methods of flag, or of a flag set.
func flagsOf(t *testing.T, path string) []string {
	t.Helper()
	defines := regexp.MustCompile(`^(Bool|Duration|Float64|Func|Int|Int64|String|Text|Uint|Uint64)(Var|Func)?$|^Var$`)
	var flags []string
	for _, f := range parsed(t, path) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !defines.MatchString(fun.Sel.Name) {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					name, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Error(err)
					}
					flags = append(flags, name)
					break
				}
			}
			return true
		})
	}
	return flags
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		`make demo   # three workers`:   {"make", "demo"},
		`a --x '{"b": "c d"}' "e f" ''`: {"a", "--x", `{"b": "c d"}`, "e f", ""},
		`git clone x && cd y`:           {"git", "clone", "x", "&&", "cd", "y"},
	} {
		got, err := split(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`a | b`, `echo $HOME`, `a 'b`, "a `b`", `a &`, `rm *`, `a > b`, `"$x"`} {
		if got, err := split(line); err == nil {
			t.Errorf("%s: no error, but %q", line, got)
		}
	}
}

// What the checks must refuse.
func TestChecksRefuse(t *testing.T) {
	for _, line := range []string{
		"make nothing", "make clean", "go run ./examples/none", "go run ./examples/kinesis -topic orders", "export PATH=x", "PATH=x make demo", "ls",
		"aws kinesis make-stream --stream-name orders", "aws kinesis create-stream --name orders", "aws s3 ls", "aws kinesis create-stream --stream-name",
		"aws dynamodb create-table --table-name t --key-schema AttributeName=g,Type=HASH", "docker compose up",
	} {
		words, err := split(line)
		if err != nil {
			t.Fatal(err)
		}
		if check(t, words) == nil {
			t.Errorf("%s is not refused", line)
		}
	}
}
