package snippets_test

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/internal/iampolicy"
)

// The policies allow exactly the operations that the code asks for: each is sent with an input of its own type, which the code names. That the resources
// are right too is shown by the tests of the examples, which run behind them.
func TestPolicies(t *testing.T) {
	documented, err := iampolicy.Documented()
	if err != nil {
		t.Fatal(err)
	}
	streams, tables, leases := operations(t, "consumer/kinesissource"), operations(t, "consumer/ddbsource"), operations(t, "lease/ddblease")
	parts := map[string][]string{
		"Kinesis source":               streams,
		"DynamoDB Streams source":      tables,
		"Lease table":                  leases,
		"Lease table, made beforehand": without(leases, "dynamodb:CreateTable"),
		// On AWS it makes no stream and no table.
		"Producer": without(operations(t, "examples/quickstart"), append(tables, "kinesis:CreateStream", "kinesis:DescribeStream", "dynamodb:CreateTable")...),
		"Demo":     slices.Compact(slices.Sorted(slices.Values(slices.Concat(streams, tables, leases, operations(t, "examples/demo"), operations(t, "examples/quickstart"))))),
	}
	for heading, policy := range documented {
		want, ok := parts[heading]
		if !ok {
			t.Errorf("%s: say here what the policy under %q is for", iampolicy.Document, heading)
		}
		var allowed []string
		for _, s := range policy.Statement {
			for _, a := range s.Action {
				if !slices.Contains(allowed, a) { // on another resource
					allowed = append(allowed, a)
				}
			}
		}
		slices.Sort(allowed)
		if !slices.Equal(allowed, want) {
			t.Errorf("%s, %q: it allows %q, and the code asks for %q", iampolicy.Document, heading, allowed, want)
		}
	}
	for heading := range parts {
		if _, ok := documented[heading]; !ok {
			t.Errorf("%s has no policy under %q, only under %q", iampolicy.Document, heading, slices.Sorted(maps.Keys(documented)))
		}
	}
}

func without(ops []string, some ...string) []string {
	return slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return slices.Contains(some, op) })
}

// operations are the actions that a package asks for, sorted: of each service's client that it imports, the operations whose inputs it makes.
func operations(t *testing.T, dir string) []string {
	t.Helper()
	prefixes := map[string]string{"kinesis": "kinesis:", "dynamodb": "dynamodb:", "dynamodbstreams": "dynamodb:"}
	var all []string
	for _, f := range parsed(t, dir) {
		services := map[string]string{} // as the file names them
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if service, ok := strings.CutPrefix(path, "github.com/aws/aws-sdk-go-v2/service/"); ok && prefixes[service] != "" {
				services[service] = prefixes[service]
				if spec.Name != nil {
					t.Errorf("%s imports %s under another name, and operations does not know it", dir, path)
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				pkg, ok := sel.X.(*ast.Ident)
				op, isInput := strings.CutSuffix(sel.Sel.Name, "Input")
				if ok && isInput && services[pkg.Name] != "" && !slices.Contains(all, services[pkg.Name]+op) {
					all = append(all, services[pkg.Name]+op)
				}
			}
			return true
		})
	}
	slices.Sort(all)
	return all
}
