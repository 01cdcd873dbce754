package torment

import (
	"syscall"
	"time"
	"unsafe"
)

// monotonic is CLOCK_MONOTONIC.
const monotonic = 1

// Clock is the time of a clock that all processes of the machine share and nobody sets.
func Clock() time.Duration {
	var t syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 { // it is there on every Linux
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(t.Nano())
}
