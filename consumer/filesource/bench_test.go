package filesource_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

// BenchmarkRead is a record of 100 bytes with a key, of a file that is in the page cache.
func BenchmarkRead(b *testing.B) {
	const lines = 100_000
	var content bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&content, "{\"voter\":\"voter-%06d\",\"for\":\"%s\"}\n", i, bytes.Repeat([]byte("x"), 66))
	}
	dir := b.TempDir()
	fill(b, dir, content.Bytes())
	b.SetBytes(int64(content.Len() / lines))
	b.ReportAllocs()
	for n := 0; n < b.N; {
		r := openShard(b, filesource.New(dir, &filesource.Config{KeyField: "voter", Closed: true}), "a")
		for ended := false; !ended; {
			p, err := r.Next(b.Context(), consumer.Want{Records: 1000, Bytes: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			n, ended = n+len(p.Records), p.End
			if p.Release != nil {
				p.Release()
			}
		}
	}
}

// BenchmarkIdle is one look at a file that has not grown.
func BenchmarkIdle(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, nil)
	r := openShard(b, filesource.New(dir, &filesource.Config{Busy: time.Nanosecond, Idle: time.Nanosecond}), "a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(b.Context(), consumer.Want{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend is one call with one line of 100 bytes.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, nil)
	w, line := filesource.NewWriter(dir), bytes.Repeat([]byte("x"), 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Append("a", line); err != nil {
			b.Fatal(err)
		}
	}
}

func fill(b *testing.B, dir string, content []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), content, 0o600); err != nil {
		b.Fatal(err)
	}
}

func openShard(b *testing.B, src *filesource.Source, shard string) consumer.Reader {
	b.Helper()
	st, err := src.Stream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	r, err := src.Open(b.Context(), st, consumer.Shard{ID: shard}, checkpoint.Start{})
	if err != nil {
		b.Fatal(err)
	}
	return r
}
