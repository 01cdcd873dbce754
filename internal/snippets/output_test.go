package snippets_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A line of output has something that a program of this module prints, numbers and names aside. Lines of few words, as those of a table, are not
// compared. Figures are in docs/benchmarks, with the command that made them.
func TestOutputIsPrinted(t *testing.T) {
	printed := formats(t)
	for _, b := range blocks(t) {
		if b.Lang != "" && b.Lang != "text" || strings.HasPrefix(b.File, filepath.Join("docs", "benchmarks")) {
			continue
		}
		for i, line := range strings.Split(strings.TrimSpace(b.Text), "\n") {
			if len(word.FindAllString(line, few+1)) > few && !isPrinted(printed, line) {
				t.Errorf("%s:%d: no program prints such a line; run it again and paste what it prints: %s", b.File, b.Line+1+i, line)
			}
		}
	}
}

func isPrinted(printed []*regexp.Regexp, line string) bool {
	for _, p := range printed {
		if p.MatchString(line) {
			return true
		}
	}
	return false
}

const (
	enough = 10 // characters of a format must be its own
	few    = 3  // words are in a line that is not compared
)

var word = regexp.MustCompile(`\p{L}{2,}`)

var verb = regexp.MustCompile(`%[-+# 0]*(\d+|\*)?(\.(\d+|\*))?[a-zA-Z]`)

// formats are what programs and their parts may print: the string literals of their files.
func formats(t *testing.T) []*regexp.Regexp {
	t.Helper()
	var all []*regexp.Regexp
	for _, dir := range []string{"examples", "consumer", "lease"} {
		for _, f := range parsed(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Error(err)
					return true
				}
				for line := range strings.Lines(text) {
					line = strings.TrimSpace(line)
					if len(strings.ReplaceAll(verb.ReplaceAllString(line, ""), " ", "")) < enough {
						continue
					}
					own := verb.Split(line, -1)
					for i := range own {
						own[i] = strings.Join(strings.Fields(" "+regexp.QuoteMeta(own[i])+" "), `\s+`)
					}
					all = append(all, regexp.MustCompile(strings.Join(own, `\s*\S.*?\s*`)))
				}
				return true
			})
		}
	}
	return all
}

// What the comparison must refuse, and what not.
func TestOutputIsCompared(t *testing.T) {
	printed := formats(t)
	for _, line := range []string{
		"applied 100000 of 100000 records, 0 lost, 0 applied twice, 41 redelivered, takeover in 10.9 s",
		" 9 s  killed worker-2 (process 19464) with SIGKILL: it had shards 0 2",
	} {
		if !isPrinted(printed, line) {
			t.Errorf("refused: %s", line)
		}
	}
	for _, line := range []string{"handled 2000 of 2000 records, 0 lost, 0 out of order", "everything is fine and nothing was lost"} {
		if isPrinted(printed, line) {
			t.Errorf("not refused: %s", line)
		}
	}
}
