package snippets_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// same tells what two lists of names do not have in common.
func same(t *testing.T, what string, documented, there []string) {
	t.Helper()
	if len(there) == 0 {
		t.Errorf("the code has no %s: nothing is compared", what)
	}
	for _, name := range there {
		if !slices.Contains(documented, name) {
			t.Errorf("%s does not explain the %s %q: give it a row", operating, what, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(there, name) {
			t.Errorf("%s explains the %s %q, which is not there any longer", operating, what, name)
		}
	}
}

// section is what stands under a heading of the operating document, up to the next heading of any level.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, operating), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", operating, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

var (
	firstCell = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	logRow    = regexp.MustCompile("(?m)^\\| ([A-Z]+) \\| `([^`]+)` \\| .{5,} \\|$")
)

func firstCells(text string) []string {
	var cells []string
	for _, m := range firstCell.FindAllStringSubmatch(text, -1) {
		cells = append(cells, m[1])
	}
	return cells
}

// Every line that the library logs has a row, with its level.
func TestEveryLogLineIsExplained(t *testing.T) {
	var documented []string
	for _, m := range logRow.FindAllStringSubmatch(section(t, "## Log lines"), -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	same(t, "log line", documented, logLines(t))
}

// logLines are the calls of a logger's methods: "WARN lease: failed".
func logLines(t *testing.T) []string {
	t.Helper()
	level := regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$`)
	logger := regexp.MustCompile(`(?i)log(ger)?$`)
	lines := map[string]bool{}
	for _, dir := range []string{"consumer", "lease", "deadletter", "ordering", "checkpoint", "internal"} {
		for _, f := range parsed(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				fun, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !logger.MatchString(nameOf(fun.X)) {
					return true
				}
				m := level.FindStringSubmatch(fun.Sel.Name)
				if m == nil {
					if !slices.Contains([]string{"With", "WithGroup", "New"}, fun.Sel.Name) {
						t.Errorf("%s: %s.%s logs in a way that this test does not know", f.Name, nameOf(fun.X), fun.Sel.Name)
					}
					return true
				}
				lit, ok := call.Args[0].(*ast.BasicLit)
				if m[2] != "" && len(call.Args) > 1 {
					lit, ok = call.Args[1].(*ast.BasicLit)
				}
				if !ok || lit.Kind != token.STRING {
					t.Errorf("%s logs a message that is no literal: it cannot be looked up", f.Name)
					return true
				}
				message, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Error(err)
				}
				lines[strings.ToUpper(m[1])+" "+message] = true
				return true
			})
		}
	}
	return slices.Sorted(maps.Keys(lines))
}

// nameOf is the last name of what a method is called on: "log" of m.log.
func nameOf(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// Every hook has a row, and every reason of a loss is named.
func TestEveryHookIsExplained(t *testing.T) {
	text := section(t, "## Hooks")
	same(t, "hook", firstCells(text), slices.Sorted(maps.Keys(fieldsOf(t, "consumer", "Hooks"))))
	for _, reason := range constants(t, "consumer", "Reason") {
		if !strings.Contains(text, "`"+reason+"`") {
			t.Errorf("%s does not name the reason %q", operating, reason)
		}
	}
}

// constants are the values of the string constants of a type.
func constants(t *testing.T, dir, typ string) []string {
	t.Helper()
	var values []string
	for _, f := range parsed(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Type == nil || nameOf(spec.Type) != typ {
				return true
			}
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					text, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Error(err)
					}
					values = append(values, text)
				}
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Errorf("%s has no constants of type %s", dir, typ)
	}
	return values
}

// Every field of Status and of its shards has a row.
func TestEveryFieldOfStatusIsExplained(t *testing.T) {
	fields := slices.Sorted(maps.Keys(fieldsOf(t, "consumer", "Status")))
	fields = append(fields, slices.Sorted(maps.Keys(fieldsOf(t, "consumer", "ShardStatus")))...)
	same(t, "field of Status", firstCells(section(t, "## Status")), fields)
}

// Every field of a row has a meaning under its kind.
func TestEveryFieldOfARowIsExplained(t *testing.T) {
	for _, b := range blocks(t) {
		if b.File != operating || b.Lang != "json" || b.Heading == "A shard that has ended" || b.Heading == "An item of DynamoDB" {
			continue
		}
		row, ok := settled(t, []byte(b.Text)).(map[string]any)
		if !ok {
			t.Fatalf("%s: no object", b.At())
		}
		value, ok := row["value"].(map[string]any)
		if !ok {
			t.Fatalf("%s: no value", b.At())
		}
		same(t, "field of "+b.Heading, firstCells(section(t, "### "+b.Heading)), slices.Sorted(maps.Keys(value)))
	}
}

// Every error that the core exports is named.
func TestEveryErrorIsExplained(t *testing.T) {
	exported := regexp.MustCompile(`^Err[A-Z]`)
	text := section(t, "## What Run returns")
	for _, dir := range []string{"consumer", "lease", "deadletter"} {
		for _, f := range parsed(t, dir) {
			if f.Name.Name != dir {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				if !ok {
					return true
				}
				for _, id := range spec.Names {
					if name := fmt.Sprintf("`%s.%s`", dir, id.Name); exported.MatchString(id.Name) && !strings.Contains(text, name) {
						t.Errorf("%s does not say what %s means", operating, name)
					}
				}
				return true
			})
		}
	}
}
