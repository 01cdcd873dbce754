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

// goal is a figure that is to be reached: at most limit.
type goal struct {
	what   string
	name   string // of the result
	unit   string
	limit  float64
	format func(float64) string
	kcl    string // the Java KCL 3.5.1 on such a machine, with its defaults; "": not measured
}

var goals = []goal{
	{"Kinesis, 1,000 records of 1 KB a call: processor time", "Kinesis/records=1000x1KB/side=runnel", ratioUnit, 1.03, times, ""},
	{"Kinesis, 10,000 records of 100 B a call: processor time", "Kinesis/records=10000x100B/side=runnel", ratioUnit, 1.08, times, ""},
	{"the framework's own share, on a source that hands out pages", "Memory/source=prepared/side=own-each", cpuUnit, 150, nanoseconds, ""},
	{"the framework's own share, on memsource", "Memory/source=memsource/side=own-each", cpuUnit, 150, nanoseconds, ""},
	{"allocations a record on memsource", "Memory/source=memsource/side=each", "allocs/op", 0, plain, ""},
	{"1,000 idle shards in memory: share of a core", "Idle/shards=1000/side=idle", "core-%", 2, percent, ""},
	{"1,000 idle shards in memory: memory above an empty process", "Idle/shards=1000/side=idle", "above-empty-B", 20e6, megabytes, ""},
}

func times(v float64) string       { return fmt.Sprintf("%.2f × the SDK's loop", v) }
func nanoseconds(v float64) string { return fmt.Sprintf("%.0f ns", v) }
func plain(v float64) string       { return fmt.Sprintf("%g", v) }
func percent(v float64) string     { return fmt.Sprintf("%.2f %%", v) }
func megabytes(v float64) string   { return fmt.Sprintf("%.1f MB", v/1e6) }

// writeGoals writes the medians of the results in a folder beside what is to be reached, as a table in Markdown. What was not measured is left out.
func writeGoals(out io.Writer, dir string) error {
	values, err := readResults(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("| | measured (median) | to reach: at most | | Java KCL 3.5.1 |\n|---|---|---|---|---|\n")
	for _, g := range goals {
		all := values[g.name+" "+g.unit]
		if len(all) == 0 {
			continue
		}
		m, verdict := median(all), "reached"
		if m > g.limit {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", g.what, g.format(m), g.format(g.limit), verdict, g.kcl)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// readResults is every value of the files that hold results, by name and unit.
func readResults(dir string) (map[string][]float64, error) {
	values := make(map[string][]float64)
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
			for unit, v := range l.values {
				values[l.name+" "+unit] = append(values[l.name+" "+unit], v)
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
