package filesource

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/runnelhq/runnel/consumer"
)

// Writer is the producer's side of a directory: it makes shards, appends lines and closes shards. It keeps no state and no open file, so that it
// needs no Close. Its methods are safe for concurrent use, also by several processes, but a shard must not be closed or repaired while
// another goroutine or process appends to it. What was written survives the process; nothing is synced to disk.
type Writer struct{ dir directory }

// NewWriter is a writer on a directory. It touches no file.
func NewWriter(dir string) *Writer { return &Writer{dir: directory(dir)} }

// Create makes an open, empty shard that continues the parents, if there are any. It also makes the directory if it is not there.
// A shard that exists with the same parents is left as it is. The error wraps [consumer.ErrNoShard] if a parent does not exist, and [ErrClosed] if there
// was a shard of this name that is gone.
func (w *Writer) Create(shard string, parents ...string) error {
	if err := w.create(shard, parents); err != nil {
		return fmt.Errorf("filesource: directory %s: create shard %s: %w", w.dir, shard, err)
	}
	return nil
}

func (w *Writer) create(shard string, parents []string) error {
	if err := checkID(shard); err != nil {
		return fmt.Errorf("its name cannot be used: %w", err)
	}
	if err := os.MkdirAll(string(w.dir), 0o777); err != nil {
		return err
	}
	if _, err := w.dir.identify(); err != nil {
		return err
	}
	if _, err := os.Stat(w.dir.lines(shard)); err == nil {
		return w.descends(shard, parents)
	}
	for _, parent := range parents {
		if err := checkID(parent); err != nil {
			return fmt.Errorf("%w: its parent %q: %w", consumer.ErrNoShard, brief(parent), err)
		}
		if _, err := os.Stat(w.dir.lines(parent)); err != nil {
			return fmt.Errorf("%w: its parent %s: %w", consumer.ErrNoShard, parent, err)
		}
	}
	if err := w.isOpen(shard); err != nil {
		return fmt.Errorf("one of that name was there before: take another name: %w", err)
	}
	if len(parents) > 0 {
		err := w.dir.put(shard+parentsSuffix, strings.Join(parents, "\n")+"\n")
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := w.descends(shard, parents); err != nil {
		return err
	}
	f, err := os.OpenFile(w.dir.lines(shard), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// descends makes sure that a shard continues these parents and no others.
func (w *Writer) descends(shard string, parents []string) error {
	has, err := w.dir.parentsOf(shard)
	if err != nil {
		return err
	}
	slices.Sort(has)
	if want := slices.Compact(slices.Sorted(slices.Values(parents))); !slices.Equal(has, want) {
		return fmt.Errorf("it is there, or was begun, with the parents %v, not %v: take another name", has, want)
	}
	return nil
}

// Append adds lines to an open shard by one write, in their order. Lines are given without their newline. If the file ends in a line that was never
// finished, that one is finished first and becomes a record: see [Writer.Repair]. The error wraps [consumer.ErrNoShard], [ErrClosed] or [ErrLine].
func (w *Writer) Append(shard string, lines ...[]byte) error {
	if err := w.add(shard, lines); err != nil {
		return fmt.Errorf("filesource: directory %s: append to shard %s: %w", w.dir, shard, err)
	}
	return nil
}

func (w *Writer) add(shard string, lines [][]byte) (err error) {
	size := 1
	for i, line := range lines {
		if len(line) == 0 || bytes.IndexByte(line, '\n') >= 0 || line[len(line)-1] == '\r' {
			return fmt.Errorf("%w: number %d of %d, %q: encode it as JSON on a line of its own", ErrLine, i+1, len(lines), brief(string(line)))
		}
		size += len(line) + 1
	}
	f, err := w.open(shard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, 0, size)
	unfinished, err := torn(f)
	if err != nil {
		return err
	}
	if unfinished {
		b = append(b, '\n')
	}
	for _, line := range lines {
		b = append(append(b, line...), '\n')
	}
	_, err = f.Write(b)
	return err
}

// open opens the file of a shard that is open.
func (w *Writer) open(shard string) (*os.File, error) {
	if err := checkID(shard); err != nil {
		return nil, fmt.Errorf("%w: %w", consumer.ErrNoShard, err)
	}
	if err := w.isOpen(shard); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(w.dir.lines(shard), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: create it first: %w", consumer.ErrNoShard, err)
	}
	return f, err
}

func (w *Writer) isOpen(shard string) error {
	m, err := markerIn(w.dir.end(shard))
	if err == nil && m.closed {
		err = fmt.Errorf("%w: there is %s", ErrClosed, w.dir.end(shard))
	}
	return err
}

// torn tells whether a file ends in a line that was not finished.
func torn(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return last[0] != '\n', err
}

// End closes a shard: no line will be added. It does nothing if the shard is closed already. A last line without a newline is a record of it. The error
// wraps [consumer.ErrNoShard].
func (w *Writer) End(shard string) error {
	if err := w.end(shard); err != nil {
		return fmt.Errorf("filesource: directory %s: close shard %s: %w", w.dir, shard, err)
	}
	return nil
}

func (w *Writer) end(shard string) error {
	f, err := w.open(shard)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = w.dir.put(shard+endSuffix, strconv.FormatInt(info.Size(), 10)+"\n")
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Reshard makes the children, each of which continues all parents, and closes the parents. A split has one parent and two children, a
// merge two parents and one child. Called again after a crash it finishes what it had begun. The errors are those of Create and End.
func (w *Writer) Reshard(parents, children []string) error {
	if len(parents) == 0 || len(children) == 0 {
		return fmt.Errorf("filesource: directory %s: reshard %v into %v: name at least one parent and one child", w.dir, parents, children)
	}
	for _, child := range children {
		if err := w.Create(child, parents...); err != nil {
			return err
		}
	}
	for _, parent := range parents {
		if err := w.End(parent); err != nil {
			return err
		}
	}
	return nil
}

// Repair cuts off a line that was begun and never finished, as a writer leaves it that was killed, and returns how many bytes that were. Nobody may
// be appending to the shard meanwhile. Readers have not given such a line. The error wraps [consumer.ErrNoShard] or [ErrClosed].
func (w *Writer) Repair(shard string) (cut int64, err error) {
	if cut, err = w.repair(shard); err != nil {
		return 0, fmt.Errorf("filesource: directory %s: repair shard %s: %w", w.dir, shard, err)
	}
	return cut, nil
}

func (w *Writer) repair(shard string) (cut int64, err error) {
	f, err := w.open(shard)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end, err := lastLine(f, info.Size(), false)
	if err != nil || end == info.Size() {
		return 0, err
	}
	return info.Size() - end, f.Truncate(end)
}
