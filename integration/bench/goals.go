package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// goal is a figure, and what it is to be at most.
type goal struct {
	what   string
	name   string // of the result
	unit   string
	limit  float64 // none: it is there to be known
	format func(float64) string
	kcl    string // the Java KCL 3.5.1 with its defaults, measured on such a machine; "": it was not
}

const none = -1

const (
	kinesis1KB  = "Kinesis/records=1000x1KB"
	kinesis100B = "Kinesis/records=10000x100B"
	changes     = "Streams/records=1000x10attributes"
	steady      = "Latency/shards=8/records=80-a-second"
)

var goals = []goal{
	{"Kinesis, 1 KB, 1,000 a call: processor time to the SDK's loop", kinesis1KB + "/side=runnel", ratioUnit, 1.03, times, ""},
	{"… a record", kinesis1KB + "/side=runnel", cpuUnit, none, microseconds, "10.8 µs"},
	{"… of the SDK's loop", kinesis1KB + "/side=sdk", cpuUnit, none, microseconds, ""},
	{"… memory at most", kinesis1KB + "/side=runnel", "peak-B", none, megabytes, "699 MB"},
	{"Kinesis, 100 B, 10,000 a call: processor time to the SDK's loop", kinesis100B + "/side=runnel", ratioUnit, 1.08, times, ""},
	{"… a record", kinesis100B + "/side=runnel", cpuUnit, none, microseconds, ""},
	{"… of the SDK's loop", kinesis100B + "/side=sdk", cpuUnit, none, microseconds, ""},
	{"… memory at most", kinesis100B + "/side=runnel", "peak-B", none, megabytes, ""},
	{"DynamoDB Streams, both images: processor time to the SDK's loop", changes + "/side=runnel", ratioUnit, none, times, ""},
	{"… a record", changes + "/side=runnel", cpuUnit, none, microseconds, "31–37 µs"},
	{"… of the SDK's loop", changes + "/side=sdk", cpuUnit, none, microseconds, ""},
	{"… memory at most", changes + "/side=runnel", "peak-B", none, megabytes, ""},
	{"the framework's own share a record: source that costs next to nothing", memoryName("prepared", "own-each"), cpuUnit, 150, nanoseconds, ""},
	{"… in batches", memoryName("prepared", "own-batches"), cpuUnit, 150, nanoseconds, ""},
	{"… memsource", memoryName("memsource", "own-each"), cpuUnit, 150, nanoseconds, ""},
	{"… memsource, in batches", memoryName("memsource", "own-batches"), cpuUnit, 150, nanoseconds, ""},
	{"… allocations", memoryName("memsource", "each"), "allocs/op", 0, plain, ""},
	{"10,000 records of 1,000 keys, 10 ms each, 100 workers, each key in order: of the time of one after the other", wideName("lanes"), "of-serial-%", 1.25, percent, ""},
	{"keys by Zipf's law: time to the least that the hottest key allows", zipfName(), boundUnit, 1.05, times, ""},
	{"lanes of keys: processor time a record above the one lane of a shard", ownName("difference"), cpuUnit, 300, nanoseconds, ""},
	{"… allocations a record", ownName("PerKey"), "allocs/record", 0, decimal, ""},
	{"a key stuck until the window is full, again and again: growth of the heap in a million records", stuckName, "grown-B", 1e6, megabytes, ""},
	{"a parked key: growth of the heap in a million records", parkedName, "grown-B", 1e6, megabytes, ""},
	{"one poison in a batch of 10,000: failing calls until it is alone", bisectName, "failing-calls", 15, plain, ""},
	{"… calls in all", bisectName, "calls", 29, plain, ""},
	{"500 quiet records beside 4,500 of one key: time to that without these", hotName("key", "hot"), aloneUnit, 1.5, times, ""},
	{"… beside a shard with 4,500", hotName("shard", "hot"), aloneUnit, 1.5, times, ""},
	{"1,000 idle shards in memory: of a core", idleName("idle"), "core-%", 2, percent, ""},
	{"… memory above an empty process", idleName("idle"), "above-empty-B", 20e6, megabytes, ""},
	{"put → handler, 80 records a second over 8 shards: p50", steady, "p50-ns", .25e9, seconds, "1.05 s"},
	{"… p99", steady, "p99-ns", .6e9, seconds, "1.94 s"},
	{"… reads of the busiest shard a second, of the 5 there are", steady, "busiest-reads/s", 3, decimal, ""},
	{"reads of an idle shard a minute", quiet, "reads/min/shard", 30, decimal, "37"},
	{"first record after a pause: p95", woken, "p95-ns", 2.2e9, seconds, ""},
	{"new application: start of the process → first record, Kinesis", started(kinesisAPI), "first-record-ns", 3e9, seconds, "82–108 s"},
	{"… DynamoDB Streams", started(streamsAPI), "first-record-ns", 3e9, seconds, "119 s"},
	{"writes to the lease table a minute, 3 workers, 32 idle shards", atRest, "writes/min", 95, decimal, "589"},
	{"… reads", atRest, "reads/min", none, decimal, ""},
	{"writes to the lease table a minute and worker: 100 shards, 3 workers, DynamoDB Local", fleetName("dynamodb", fleetSizes[0]), perWorker, 30, decimal, ""},
	{"… 1,000 shards, 10 workers", fleetName("dynamodb", fleetSizes[1]), perWorker, 30, decimal, ""},
	{"… 100 shards, 3 workers, Redis", fleetName("redis", fleetSizes[0]), perWorker, 30, decimal, ""},
	{"… 1,000 shards, 10 workers", fleetName("redis", fleetSizes[1]), perWorker, 30, decimal, ""},
	{"… 100 shards, 3 workers, PostgreSQL", fleetName("postgresql", fleetSizes[0]), perWorker, 30, decimal, ""},
	{"… 1,000 shards, 10 workers", fleetName("postgresql", fleetSizes[1]), perWorker, 30, decimal, ""},
	{"… 10,000 shards, 100 workers, simulated", fleetName(simulatedStore, largest), perWorker, 30, decimal, ""},
	{"… these: from the first start until the load is even", fleetName(simulatedStore, largest), "cold-settled-ns", 60e9, seconds, ""},
	{"… a worker is killed → all its shards have owners", fleetName(simulatedStore, largest), crash(1, "ns"), 16e9, seconds, ""},
	{"… how often each was taken until the load was even", fleetName(simulatedStore, largest), crash(1, "takes/orphan"), 1, plain, ""},
	{"… ten are killed at once → all their shards have owners", fleetName(simulatedStore, largest), crash(10, "ns"), 16e9, seconds, ""},
	{"… how often each was taken until the load was even", fleetName(simulatedStore, largest), crash(10, "takes/orphan"), 1, plain, ""},
	{"PostgreSQL, a transaction of 100 single-row statements with one mark, in the order of a shard: time to the effects alone", markName("postgresql", 100, shardSide), effectsUnit, 1.05, times, ""},
	{"… one mark, 100 records of one key", markName("postgresql", 100, oneKeySide), effectsUnit, 1.05, times, ""},
	{"… 100 marks, records of 100 keys", markName("postgresql", 100, keySide), effectsUnit, none, times, ""},
	{"… with the row of a marker a record", markName("postgresql", 100, naiveSide), effectsUnit, none, times, ""},
	{"… one statement with a mark, in the order of a shard", markName("postgresql", 1, shardSide), effectsUnit, none, times, ""},
	{"… with the row of a marker", markName("postgresql", 1, naiveSide), effectsUnit, none, times, ""},
	{"SQLite, 100 statements with one mark, in the order of a shard", markName("sqlite", 100, shardSide), effectsUnit, none, times, ""},
	{"… 100 marks, records of 100 keys", markName("sqlite", 100, keySide), effectsUnit, none, times, ""},
	{"… with the row of a marker a record", markName("sqlite", 100, naiveSide), effectsUnit, none, times, ""},
	{"Redis, 100 HINCRBYs with one mark, in the order of a shard", markName("redis", 100, shardSide), effectsUnit, none, times, ""},
	{"… 100 marks, records of 100 keys", markName("redis", 100, keySide), effectsUnit, none, times, ""},
	{"… with the key of a marker a record, made before", markName("redis", 100, naiveSide), effectsUnit, none, times, ""},
	{"DynamoDB Local, a transaction of 32 puts with one mark, in the order of a shard", markName("dynamodb", 32, shardSide), effectsUnit, none, times, ""},
	{"… 32 marks, records of 32 keys", markName("dynamodb", 32, keySide), effectsUnit, none, times, ""},
	{"… with a conditional put of a marker a record", markName("dynamodb", 32, naiveSide), effectsUnit, none, times, ""},
	{"PostgreSQL, rows of marks in the order of a shard, after 100,000 records", storedName("postgresql", shardSide), "rows-at-most", 2, plain, ""},
	{"… of keys, one a record, 10,000 between checkpoints", storedName("postgresql", keySide), "rows-at-most", inFlight + 2, plain, ""},
	{"… rows of markers", storedName("postgresql", naiveSide), "rows-at-most", none, plain, ""},
	{"SQLite, rows of marks in the order of a shard", storedName("sqlite", shardSide), "rows-at-most", 2, plain, ""},
	{"… of keys, one a record, 10,000 between checkpoints", storedName("sqlite", keySide), "rows-at-most", inFlight + 2, plain, ""},
	{"Redis, marks in the order of a shard", storedName("redis", shardSide), "rows-at-most", 1, plain, ""},
	{"… of keys, one a record, 10,000 between checkpoints", storedName("redis", keySide), "rows-at-most", inFlight + 1, plain, ""},
	{"PostgreSQL, 32 workers in one shard, 10 ms each: time of a transaction to that without marks", markLaneName("postgresql", "10ms", keySide, 32), effectsUnit, none, times, ""},
	{"… workers to which it scales", markScaleName("postgresql", "10ms", keySide), "scales-to-workers", none, plain, ""},
	{"… without marks", markScaleName("postgresql", "10ms", effectsSide), "scales-to-workers", none, plain, ""},
}

// perWorker is the unit of what a worker writes at rest.
const perWorker = "writes/min/worker"

func times(v float64) string        { return fmt.Sprintf("%.2f ×", v) }
func nanoseconds(v float64) string  { return fmt.Sprintf("%.0f ns", v) }
func microseconds(v float64) string { return fmt.Sprintf("%.2f µs", v/1e3) }
func seconds(v float64) string      { return fmt.Sprintf("%.2f s", v/1e9) }
func plain(v float64) string        { return fmt.Sprintf("%g", v) }
func decimal(v float64) string      { return fmt.Sprintf("%.1f", v) }
func percent(v float64) string      { return fmt.Sprintf("%.2f %%", v) }
func megabytes(v float64) string    { return fmt.Sprintf("%.1f MB", v/1e6) }

// writeGoals writes the medians of the results in a folder beside what is to be reached, as a table in Markdown. What was not measured is left out.
func writeGoals(out io.Writer, dir string) error {
	values, err := readResults(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("| | measured (median) | to reach: at most | | Java KCL 3.5.1 |\n|---|---|---|---|---|\n")
	for _, g := range goals {
		result, measured := values[g.name]
		if !measured {
			continue
		}
		all := result[g.unit]
		if len(all) == 0 {
			return fmt.Errorf("the results in %s have %s without %s", dir, g.name, g.unit)
		}
		m, limit, verdict := median(all), "", ""
		if g.limit != none {
			limit, verdict = g.format(g.limit), "reached"
			if m > g.limit {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", g.what, g.format(m), limit, verdict, g.kcl)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// readResults is every value of the files that hold results, by name and then by unit.
func readResults(dir string) (map[string]map[string][]float64, error) {
	values := make(map[string]map[string][]float64)
	for _, part := range names() {
		f, err := os.Open(filepath.Join(dir, part+".txt"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			l, ok := parseLine(lines.Text())
			if !ok {
				continue
			}
			if values[l.name] == nil {
				values[l.name] = make(map[string][]float64)
			}
			for unit, v := range l.values {
				values[l.name][unit] = append(values[l.name][unit], v)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// median is between the two middle ones, if there are two. There must be one at least.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
