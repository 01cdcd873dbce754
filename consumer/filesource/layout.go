package filesource

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the names of files in a directory end in, after the ID of their shard.
const (
	linesSuffix   = ".jsonl"
	endSuffix     = ".end"
	parentsSuffix = ".parents"
)

// The files that belong to no shard.
const (
	idFile    = "stream.id"
	marksFile = "stream.marks"
)

// maxID is the most bytes of the ID of a shard or a stream.
const maxID = 200

// directory is the path of one stream.
type directory string

func (d directory) path(name string) string     { return filepath.Join(string(d), name) }
func (d directory) lines(shard string) string   { return d.path(shard + linesSuffix) }
func (d directory) end(shard string) string     { return d.path(shard + endSuffix) }
func (d directory) parents(shard string) string { return d.path(shard + parentsSuffix) }

// checkID refuses what can be no ID of a shard or a stream. IDs are parts of file names, and of Record.ID, which is cut at spaces.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("it is empty")
	case len(id) > maxID:
		return fmt.Errorf("it has %d bytes, more than %d", len(id), maxID)
	case !utf8.ValidString(id):
		return errors.New("it is not UTF-8")
	case strings.HasPrefix(id, "."):
		return errors.New("it begins with a dot")
	case strings.ContainsAny(id, `/\`):
		return errors.New("it has a slash")
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("it has a space, or a character that cannot be printed")
	}
	return nil
}

// shardOf is the shard whose lines the file of that name holds, if it holds any.
func shardOf(name string) (shard string, ok bool) {
	return strings.CutSuffix(name, linesSuffix)
}

// marker is what is said of the end of a shard.
type marker struct {
	closed bool
	size   int64 // how many bytes the shard has; negative: the marker does not say
}

// markerIn reads the marker of a shard. What is in the shard's file after the call belongs to it if the shard is closed: the marker is written last.
func markerIn(path string) (marker, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return marker{size: -1}, nil
	}
	if err != nil {
		return marker{}, err
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return marker{closed: true, size: -1}, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return marker{}, fmt.Errorf("%s holds %q: let it be empty, or the number of bytes of the shard", path, brief(text))
	}
	return marker{closed: true, size: int64(n)}, nil
}

// parentsOf reads which shards a shard continues. The file that says so is there before the shard is.
func (d directory) parentsOf(shard string) ([]string, error) {
	b, err := os.ReadFile(d.parents(shard))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parents []string
	for line := range strings.Lines(string(b)) {
		parent := strings.TrimSpace(line)
		if parent == "" || slices.Contains(parents, parent) {
			continue
		}
		if err := checkID(parent); err != nil {
			return nil, fmt.Errorf("%s names a parent %q that can be none: %w", d.parents(shard), brief(parent), err)
		}
		parents = append(parents, parent)
	}
	return parents, nil
}

// put makes a file with its content, both at once. The error is [fs.ErrExist] if there is one of that name.
func (d directory) put(name, content string) error {
	temp := d.path("." + name + "-" + rand.Text())
	if err := os.WriteFile(temp, []byte(content), 0o666); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return errors.Join(os.Link(temp, d.path(name)), os.Remove(temp))
}

// brief shortens s, which may be anything, to what an error bears.
func brief(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
