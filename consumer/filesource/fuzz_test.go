package filesource_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

type found struct {
	data string
	end  int
}

// naive is what a file of these bytes holds: what stands between newlines and is not empty. The rest after the last newline counts in a closed file.
func naive(content []byte, closed bool) []found {
	var all []found
	for at := 0; at < len(content); {
		n := bytes.IndexByte(content[at:], '\n')
		end := at + n + 1
		if n < 0 {
			if !closed {
				break
			}
			n, end = len(content)-at, len(content)
		}
		if line := bytes.TrimSuffix(content[at:at+n], []byte("\r")); len(line) > 0 {
			all = append(all, found{string(line), end})
		}
		at = end
	}
	return all
}

// FuzzReader lets a file grow by arbitrary bytes in arbitrary pieces, and reads it in arbitrary pages by readers that are opened anew now and then. After each piece
// all of its lines were given, once and in order, and none that is not whole.
func FuzzReader(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), []byte{3, 1, 200}, byte(1))
	f.Add(bytes.Repeat([]byte("x"), 300), []byte{255, 7}, byte(2))
	f.Add([]byte("\n\r\n\r\r\n\x00\xff{\"k\":1}\n"), []byte{1}, byte(3))
	f.Add([]byte("a\nb\nc\nd\ne\nf"), []byte{0, 5, 2}, byte(5))
	f.Add([]byte(""), []byte{}, byte(0))
	f.Fuzz(func(t *testing.T, content, pieces []byte, seed byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.jsonl")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { check(t, file.Close()) }()
		src := filesource.New(dir, &filesource.Config{KeyField: "k", Busy: time.Nanosecond, Idle: time.Nanosecond})
		x := &growing{t: t, source: src}
		x.stream, err = src.Stream(t.Context())
		check(t, err)
		written := 0
		for i := 0; written < len(content); i++ {
			n := 1
			if len(pieces) > 0 {
				n += int(pieces[i%len(pieces)])
			}
			n = min(n, len(content)-written)
			_, err := file.Write(content[written : written+n])
			check(t, err)
			written += n
			if (i+int(seed))%3 == 0 {
				x.reader = nil
			}
			want := consumer.Want{Records: (i + int(seed)) % 4, Bytes: int64(seed) * int64(i%2) * 40}
			x.mustRead(naive(content[:written], false), want)
		}
		check(t, os.WriteFile(filepath.Join(dir, "a.end"), nil, 0o600))
		x.mustRead(naive(content, true), consumer.Want{Records: int(seed % 3)})
		if !x.ended {
			x.next(consumer.Want{})
		}
		if !x.ended || x.through != len(content) {
			t.Fatalf("ended %t at %d of %d", x.ended, x.through, len(content))
		}
	})
}

// growing is what was read of a file.
type growing struct {
	t       *testing.T
	source  *filesource.Source
	stream  consumer.Stream
	reader  consumer.Reader
	given   []found
	through int
	ended   bool
}

func (x *growing) mustRead(want []found, w consumer.Want) {
	x.t.Helper()
	for len(x.given) < len(want) {
		x.next(w)
	}
	if !x.ended {
		x.next(w)
	}
	if len(x.given) != len(want) {
		x.t.Fatalf("it gave %+v, want %+v", x.given, want)
	}
	for i := range want {
		if x.given[i] != want[i] {
			x.t.Fatalf("record %d is %+v, want %+v", i, x.given[i], want[i])
		}
	}
}

func (x *growing) next(w consumer.Want) {
	x.t.Helper()
	if x.reader == nil {
		r, err := x.source.Open(x.t.Context(), x.stream, consumer.Shard{ID: "a"}, checkpoint.After(offset(x.through)))
		check(x.t, err)
		x.reader = r
	}
	p, err := x.reader.Next(x.t.Context(), w)
	check(x.t, err)
	if w.Records > 0 && len(p.Records) > w.Records || w.Bytes > 0 && len(p.Records) > 1 && p.Bytes > w.Bytes {
		x.t.Fatalf("a page of %d records and %d bytes, wanted %+v", len(p.Records), p.Bytes, w)
	}
	for _, r := range p.Records {
		n, _ := r.Position.Offset()
		x.given = append(x.given, found{string(r.Data), int(n)})
	}
	n, _ := p.Through.Offset()
	if int(n) < x.through || len(p.Records) > 0 && int(n) < x.given[len(x.given)-1].end {
		x.t.Fatalf("through %d after %d", n, x.through)
	}
	x.through, x.ended = int(n), p.End
}

func offset(n int) checkpoint.Position {
	if n == 0 {
		return checkpoint.Position{}
	}
	return checkpoint.Offset(uint64(n))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
