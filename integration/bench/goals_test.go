package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A goal is judged by the median of its results, and left out without any.
func TestGoals(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kinesis.txt": "go: 1.26\nBenchmarkKinesis/records=1000x1KB/side=sdk 1\t1 x/sdk\n" +
			"BenchmarkKinesis/records=1000x1KB/side=runnel 1\t1.01 x/sdk\nBenchmarkKinesis/records=1000x1KB/side=runnel 1\t1.02 x/sdk\n" +
			"BenchmarkKinesis/records=1000x1KB/side=runnel 1\t7 x/sdk\n",
		"leases.txt": "BenchmarkLeases/workers=3/shards=32 1\t96 writes/min\t400 reads/min\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := writeGoals(&out, dir); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"| Kinesis, 1 KB, 1,000 a call: processor time to the SDK's loop | 1.02 × | 1.03 × | reached |  |",
		"| writes to the lease table a minute, 3 workers, 32 idle shards | 96.0 | 95.0 | **missed** | 589 |",
		"| … reads | 400.0 |  |  |  |",
	}
	if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got[2:], "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got[2:], "\n"), strings.Join(want, "\n"))
	}
}

// Each goal is about a result that a part writes: a name that nobody writes would never be judged.
func TestGoalsName(t *testing.T) {
	written := map[string]bool{
		steady: true, quiet: true, woken: true, atRest: true, idleName("idle"): true,
		started(kinesisAPI): true, started(streamsAPI): true,
	}
	for _, s := range append(kinesisShapes, streamsShapes...) {
		for _, side := range sides {
			written[s.name+"/side="+side] = true
		}
	}
	for _, source := range memorySources {
		for _, side := range memorySides {
			written[memoryName(source, side)] = true
			written[memoryName(source, "own-"+side)] = true
		}
	}
	for _, g := range goals {
		if !written[g.name] {
			t.Errorf("nothing writes %s", g.name)
		}
	}
}
