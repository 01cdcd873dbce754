//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is what this process has used, by itself and by the system for it, and the system's part of it.
func processorTime() (all, system time.Duration, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0, err
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), time.Duration(r.Stime.Nano()), nil
}
