package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A goal is judged by the median of its results, and left out without any.
func TestGoals(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"start.txt": "go: 1.26\nBenchmarkStart/source=kinesis 1\t1e9 first-record-ns\nBenchmarkStart/source=kinesis 1\t2e9 first-record-ns\n" +
			"BenchmarkStart/source=kinesis 1\t2.5e9 first-record-ns\nBenchmarkStart/source=kinesis 1\t9e9 first-record-ns\n",
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
		"| new application: start of the process → first record, Kinesis | 2.25 s | 3.00 s | reached | 82–108 s |",
		"| writes to the lease table a minute, 3 workers, 32 idle shards | 96.0 | 95.0 | **missed** | 589 |",
		"| … reads | 400.0 |  |  |  |",
	}
	if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got[2:], "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got[2:], "\n"), strings.Join(want, "\n"))
	}
}

func TestGoalsWithoutUnit(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "leases.txt"), []byte("BenchmarkLeases/workers=3/shards=32 1\t96 writes/min\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeGoals(io.Discard, dir); err == nil || !strings.Contains(err.Error(), "reads/min") {
		t.Errorf("a result without the figure that a goal asks for: %v", err)
	}
}

// Each goal is about a result that a part writes: a name that nobody writes would never be judged.
func TestGoalsName(t *testing.T) {
	written := map[string]bool{
		steady: true, quiet: true, woken: true, atRest: true, idleName("idle"): true,
		started(kinesisAPI): true, started(streamsAPI): true,
	}
	for _, name := range []string{
		wideName("lanes"), zipfName(), ownName("difference"), ownName("PerKey"), stuckName, parkedName, bisectName, hotName("key", "hot"), hotName("shard", "hot"),
	} {
		written[name] = true
	}
	written[fleetName(simulatedStore, largest)] = true
	for _, store := range fleetStores {
		for _, size := range fleetSizes {
			written[fleetName(store.name, size)] = true
		}
	}
	for _, s := range markStores {
		for _, batch := range s.batches {
			for _, side := range markSides(batch) {
				written[markName(s.name, batch, side)] = true
			}
		}
		for _, side := range storedSides {
			written[storedName(s.name, side)] = s.stored > 0
		}
		for _, h := range laneHandlers {
			for _, side := range laneSides {
				written[markScaleName(s.name, h.name, side)] = s.lanes
				for _, workers := range laneWidths {
					written[markLaneName(s.name, h.name, side, workers)] = s.lanes
				}
			}
		}
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
