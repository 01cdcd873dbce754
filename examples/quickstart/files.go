package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

// fileBox is a stream on disk: a directory with a file of JSON Lines for each of its shards.
type fileBox struct {
	dir    string
	writer *filesource.Writer
}

const fileShards = 4

func newFileBox(dir string) *fileBox {
	dir = filepath.Join(dir, "votes")
	return &fileBox{dir: dir, writer: filesource.NewWriter(dir)}
}

func (f *fileBox) name() string { return "files" }

func (f *fileBox) source() consumer.Source {
	return filesource.New(f.dir, &filesource.Config{KeyField: "voter", KeyOrder: true})
}

func (f *fileBox) decode(r consumer.Record) (vote, error) { return decodeJSON(r) }

func (f *fileBox) prepare(context.Context) error {
	for i := range fileShards {
		if err := f.writer.Create(strconv.Itoa(i)); err != nil {
			return err
		}
		if _, err := f.writer.Repair(strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fileBox) path(shard int) string { return filepath.Join(f.dir, strconv.Itoa(shard)+".jsonl") }

// resume reads what is there: the votes that a run has cast are the first ones of each file.
func (f *fileBox) resume(context.Context) (func(v vote) (bool, error), error) {
	var there [fileShards]*bufio.Scanner
	for i := range there {
		data, err := os.ReadFile(f.path(i))
		if err != nil {
			return nil, err
		}
		there[i] = bufio.NewScanner(bytes.NewReader(data))
	}
	return func(v vote) (bool, error) {
		lines := there[share(v.Voter, fileShards)]
		if !lines.Scan() {
			return false, lines.Err()
		}
		line, err := json.Marshal(v)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(line, lines.Bytes()) {
			return false, fmt.Errorf("%s holds %q where this run has %q: give another -dir", f.dir, lines.Bytes(), line)
		}
		return true, nil
	}, nil
}

func (f *fileBox) put(_ context.Context, votes []vote) error {
	var lines [fileShards][][]byte
	for _, v := range votes {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		shard := share(v.Voter, fileShards)
		lines[shard] = append(lines[shard], line)
	}
	var errs []error
	for shard, ls := range lines {
		if len(ls) > 0 {
			errs = append(errs, f.writer.Append(strconv.Itoa(shard), ls...))
		}
	}
	return errors.Join(errs...)
}
