// Package snippets holds the documentation to the code: every piece of Go in a Markdown file stands in a Go file that is compiled.
package snippets_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func TestGoInMarkdownIsCompiled(t *testing.T) {
	root := filepath.Join("..", "..")
	var code []string
	docs := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && name != ".." && strings.HasPrefix(name, ".") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(name); ext != ".go" && ext != ".md" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".go" {
			code = append(code, flat(string(b)))
		} else {
			docs[path] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for path, text := range docs {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			found++
			if !compiled(code, flat(m[1])) {
				t.Errorf("%s: this Go code is in no Go file:\n%s", path, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no Markdown file has Go code: the pattern finds nothing")
	}
}

func compiled(code []string, snippet string) bool {
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
