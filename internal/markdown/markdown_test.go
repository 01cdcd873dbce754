package markdown_test

import (
	"reflect"
	"testing"

	"github.com/runnelhq/runnel/internal/markdown"
)

func TestBlocks(t *testing.T) {
	text := "# One\n\n```go\na\n\n\tb\n```\n## Two `c`\n- x\n  ```sh\n# no heading\n  ```\n"
	got, err := markdown.Blocks("f.md", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []markdown.Block{
		{File: "f.md", Line: 3, Heading: "One", Lang: "go", Text: "a\n\n\tb\n"},
		{File: "f.md", Line: 10, Heading: "Two `c`", Lang: "sh", Text: "# no heading\n"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := markdown.Blocks("f.md", "```go\na\n"); err == nil {
		t.Error("an open fence is no error")
	}
}
