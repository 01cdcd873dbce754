package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/runnelhq/runnel/localstack"
)

// reader reads the records of a stream, and returns how many there were.
type reader func(ctx context.Context, c localstack.Clients, l load, stream string) (int64, error)

// measured makes a role of a reader. It reads the short stream first, so that neither connections nor code are new when it counts.
func measured(read reader) func(context.Context, task) (usage, error) {
	return func(ctx context.Context, t task) (usage, error) {
		s, err := localstack.Start(ctx, localstack.Options{Kind: localstack.Environment})
		if err != nil {
			return usage{}, err
		}
		if _, err := read(ctx, s.Clients, t.Load, warmUp); err != nil {
			return usage{}, err
		}
		runtime.GC()
		if t.Profile != "" {
			f, err := os.Create(t.Profile)
			if err != nil {
				return usage{}, err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			if err := pprof.StartCPUProfile(f); err != nil {
				return usage{}, err
			}
			defer pprof.StopCPUProfile()
		}
		var before, after runtime.MemStats
		cpu, system, err := processorTime()
		if err != nil {
			return usage{}, err
		}
		begun := time.Now()
		runtime.ReadMemStats(&before)
		n, err := read(ctx, s.Clients, t.Load, whole)
		if all := t.Load.records(whole); err == nil && n != all {
			err = fmt.Errorf("%d records came of %d", n, all)
		}
		if err != nil {
			return usage{}, err
		}
		runtime.ReadMemStats(&after)
		wall := time.Since(begun)
		spent, spentBySystem, err := processorTime()
		if err != nil {
			return usage{}, err
		}
		u := usage{
			Records: n, CPU: (spent - cpu).Seconds(), System: (spentBySystem - system).Seconds(), Wall: wall.Seconds(),
			Allocs: after.Mallocs - before.Mallocs, Bytes: after.TotalAlloc - before.TotalAlloc, GCs: after.NumGC - before.NumGC,
		}
		return u, u.resident()
	}
}

// resident notes what memory the process has and had at most: of itself alone, which getrusage's maximum is not, for it begins with the parent's.
func (u *usage) resident() error {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return err
	}
	found := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var kB int64
		switch name {
		case "VmHWM", "VmRSS":
			if _, err := fmt.Sscanf(value, "%d kB", &kB); err != nil {
				return errors.Join(err, f.Close())
			}
			found++
		}
		switch name {
		case "VmHWM":
			u.Peak = kB << 10
		case "VmRSS":
			u.Rest = kB << 10
		}
	}
	if found != 2 {
		err = errors.New("the memory of this process is not in /proc/self/status")
	}
	return errors.Join(err, lines.Err(), f.Close())
}
