// Package markdown finds the fenced blocks of the documentation, which tests hold against the code.
package markdown

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Block is a fenced block.
type Block struct {
	File    string // as it was read
	Line    int    // of the opening fence, from 1
	Heading string // the nearest one above, without its marks
	Lang    string // "" if the fence names none
	Text    string // with its last line break
}

// At is where the block stands, for messages.
func (b Block) At() string { return fmt.Sprintf("%s:%d", b.File, b.Line) }

// Read gives the text of a file and its blocks.
func Read(file string) (text string, blocks []Block, err error) {
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", nil, err
	}
	blocks, err = Blocks(file, string(b))
	return string(b), blocks, err
}

// Blocks are the fenced blocks of a text. A fence that is never closed is an error.
func Blocks(file, text string) ([]Block, error) {
	var blocks []Block
	var open *Block
	heading := ""
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && isFence && fence == "":
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += line + "\n"
		case isFence:
			open = &Block{File: file, Line: i + 1, Heading: heading, Lang: strings.TrimSpace(fence)}
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the fence is never closed", open.At())
	}
	return blocks, nil
}
