// Package snippets holds the documentation to the code: what stands in Markdown files is compiled, run, or compared with what the code has.
package snippets_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/internal/iampolicy"
	"github.com/runnelhq/runnel/internal/markdown"
)

var root = filepath.Join("..", "..")

// files are the paths under a folder of the module, relative to its root, whose names end in suffix; hidden folders are left out.
func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, suffix) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no %s", dir, suffix)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks are those of all documents.
func blocks(t *testing.T) []markdown.Block {
	t.Helper()
	var all []markdown.Block
	for _, file := range files(t, ".", ".md") {
		found, err := markdown.Blocks(file, read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// parsed are the Go files under a folder, tests left out.
func parsed(t *testing.T, dir string) []*ast.File {
	t.Helper()
	var all []*ast.File
	for _, file := range files(t, dir, ".go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// Every block is in a language that some test here checks.
func TestEveryBlockIsChecked(t *testing.T) {
	checked := map[string]string{
		"go": "TestGoIsCompiled", "sh": "TestCommandsAreRun", "json": "TestJSONIsReal", "sql": "TestSQLIsAnswered", "text": "TestOutputIsPrinted", "": "TestOutputIsPrinted",
	}
	for _, b := range blocks(t) {
		if _, ok := checked[b.Lang]; !ok {
			t.Errorf("%s: nothing checks blocks in %q: use one of %v, or add a check to internal/snippets", b.At(), b.Lang, checked)
		}
	}
}

// Every piece of Go stands in a Go file, which is compiled.
func TestGoIsCompiled(t *testing.T) {
	var code []string
	for _, file := range files(t, ".", ".go") {
		code = append(code, flat(read(t, file)))
	}
	found := 0
	for _, b := range blocks(t) {
		if b.Lang != "go" {
			continue
		}
		found++
		if !within(code, flat(b.Text)) {
			t.Errorf("%s: this Go code is in no Go file. Take it from an example (example_test.go of a package, internal/snippets/example_test.go, examples), indentation aside:\n%s", b.At(), b.Text)
		}
	}
	if found == 0 {
		t.Error("no document has Go code: nothing is compared")
	}
}

func within(code []string, snippet string) bool {
	for _, c := range code {
		if strings.Contains(c, snippet) {
			return true
		}
	}
	return false
}

// flat drops the indentation of lines.
func flat(s string) string {
	lines := strings.Split(strings.Trim(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

// JSON is a policy or a row of the lease table, each with a test of its own.
func TestJSONIsReal(t *testing.T) {
	for _, b := range blocks(t) {
		switch {
		case b.Lang != "json":
		case b.File == filepath.FromSlash(iampolicy.Document): // TestPolicies
			if _, err := iampolicy.Parse(b.Text); err != nil {
				t.Errorf("%s: %v", b.At(), err)
			}
		case b.File == operating: // TestRows
		default:
			t.Errorf("%s: nothing checks this JSON: policies stand in %s, rows in %s", b.At(), iampolicy.Document, operating)
		}
	}
}
