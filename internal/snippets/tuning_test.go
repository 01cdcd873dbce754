package snippets_test

import (
	"go/ast"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var tuning = filepath.Join("docs", "tuning.md")

// The tuning document has a table for each struct that configures something, and in it a row for each field, with the default that the field's
// comment gives.
func TestEveryFieldIsExplained(t *testing.T) {
	structs := []struct{ dir, name string }{
		{"consumer", "Config"}, {"consumer", "Order"}, {"consumer", "Batch"}, {"consumer", "Failure"}, {"consumer", "Flow"}, {"consumer", "Stop"}, {"consumer", "Balance"}, {"lease", "Timing"},
		{"consumer/kinesissource", "Config"}, {"consumer/ddbsource", "Config"}, {"consumer/filesource", "Config"},
		{"lease/ddblease", "Config"}, {"lease/sqllease", "Config"}, {"lease/redislease", "Config"},
		{"deadletter/sqlletters", "Config"}, {"deadletter/redisletters", "Config"}, {"deadletter", "RedriveOptions"},
		{"dedup/sqldedup", "Config"}, {"dedup/ddbdedup", "Config"}, {"dedup/redisdedup", "Config"},
	}
	sections := strings.Split(read(t, tuning), "\n## ")
	for _, s := range structs {
		heading := filepath.Base(s.dir) + "." + s.name
		i := slices.IndexFunc(sections, func(text string) bool { return strings.HasPrefix(text, heading+"\n") })
		if i < 0 {
			t.Errorf("%s has no section %q", tuning, heading)
			continue
		}
		rows := fieldRows(sections[i])
		fields := fieldsOf(t, s.dir, s.name)
		for name, comment := range fields {
			row, ok := rows[name]
			switch {
			case !ok:
				t.Errorf("%s does not explain %s.%s: give it a row", tuning, heading, name)
			case !strings.Contains(plain(comment), plain(row[0])):
				t.Errorf("%s: the default of %s.%s is %q there, and its comment says %q", tuning, heading, name, row[0], comment)
			case len(row[1]) < 5:
				t.Errorf("%s does not say what %s.%s trades", tuning, heading, name)
			}
		}
		for name := range rows {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s explains %s.%s, which is not there", tuning, heading, name)
			}
		}
	}
	// A new struct that configures something must not be forgotten.
	for _, dir := range []string{"consumer", "lease", "deadletter"} {
		for _, file := range files(t, dir, ".go") {
			if at := filepath.Dir(file); strings.Contains(read(t, file), "\ntype Config struct") && !slices.ContainsFunc(structs, func(s struct{ dir, name string }) bool { return filepath.FromSlash(s.dir) == at }) {
				if at != "lease" && at != filepath.Join("consumer", "memsource") { // used through consumer.Config; for tests
					t.Errorf("%s has a Config that %s does not explain", at, tuning)
				}
			}
		}
	}
}

var fieldRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| *(.*?) *\\| *(.*?) *\\|$")

// fieldRows are the default and the explanation of each field in a section.
func fieldRows(section string) map[string][2]string {
	rows := map[string][2]string{}
	for _, m := range fieldRow.FindAllStringSubmatch(section, -1) {
		rows[m[1]] = [2]string{m[2], m[3]}
	}
	return rows
}

// fieldsOf are the exported fields of a struct with their comments. What the comment of the struct says counts for each.
func fieldsOf(t *testing.T, dir, name string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for _, f := range parsed(t, dir) {
		if f.Name.Name != filepath.Base(dir) {
			continue // a package below
		}
		ast.Inspect(f, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range decl.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok || typ.Name.Name != name {
					continue
				}
				for _, field := range typ.Type.(*ast.StructType).Fields.List {
					for _, id := range field.Names {
						if id.IsExported() {
							fields[id.Name] = decl.Doc.Text() + " " + field.Doc.Text() + " " + field.Comment.Text()
						}
					}
				}
			}
			return true
		})
	}
	if len(fields) == 0 {
		t.Errorf("%s has no struct %s", dir, name)
	}
	return fields
}

// plain leaves the words: what is code in a table may be a link or nothing in a comment.
func plain(s string) string {
	s = strings.NewReplacer("`", "", "[", "", "]", "", ";", "", ",", "", `"`, "").Replace(s)
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}
