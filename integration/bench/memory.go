package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// memorySources and memorySides are what BenchmarkMemory measures.
var (
	memorySources = []string{"memsource", "prepared"}
	memorySides   = []string{"source", "each", "batches"}
)

// memoryName is a line's name, without the Benchmark and the number of processors.
func memoryName(source, side string) string { return "Memory/source=" + source + "/side=" + side }

// cpuUnit is processor time a record. The clock is of no use on a machine that others use too.
const cpuUnit = "cpu-ns/record"

// memory runs BenchmarkMemory, each round in a process of its own, and takes from the framework's figures what the source costs alone.
func memory(ctx context.Context, o options, r *report) (err error) {
	dir, err := os.MkdirTemp("", "runnel-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "bench.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./integration/bench")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the benchmark, in the root of the module: %w", err)
	}
	argv := onCore(readerCore, binary, "-test.run", "^$", "-test.bench", "^BenchmarkMemory$", "-test.benchtime", "500000x")
	for range cmp.Or(o.Count, 10) {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		if err := ownShare(r, text); err != nil {
			return err
		}
	}
	return nil
}

// ownShare passes a round's lines on, and adds the differences.
func ownShare(r *report, round []byte) error {
	cpu := make(map[string]float64)
	lines := bufio.NewScanner(bytes.NewReader(round))
	for lines.Scan() {
		if l, ok := parseLine(lines.Text()); ok {
			r.printf("%s\n", lines.Text())
			cpu[l.name] = l.values[cpuUnit]
		}
	}
	for _, source := range memorySources {
		alone, ok := cpu[memoryName(source, "source")]
		for _, side := range memorySides[1:] {
			with, found := cpu[memoryName(source, side)]
			if !ok || !found {
				return fmt.Errorf("the benchmark has no figures of %s: %s", source, round)
			}
			r.result(memoryName(source, "own-"+side), metric{with - alone, cpuUnit})
		}
	}
	return nil
}

// line is one result.
type line struct {
	name   string // without Benchmark, and without the number of processors
	values map[string]float64
}

// parseLine reads a line of the benchmark format. It gives false for others.
func parseLine(text string) (line, bool) {
	fields := strings.Fields(text)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
		return line{}, false
	}
	l := line{name: strings.TrimPrefix(fields[0], "Benchmark"), values: make(map[string]float64)}
	if i := strings.LastIndexByte(l.name, '-'); i >= 0 {
		if _, err := strconv.Atoi(l.name[i+1:]); err == nil {
			l.name = l.name[:i]
		}
	}
	for i := 2; i < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return line{}, false
		}
		l.values[fields[i+1]] = v
	}
	return l, true
}
