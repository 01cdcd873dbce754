//go:build !linux

package torment

import "time"

// Clock is the time of a clock that all processes of the machine share. It is the wall clock: a run in which that is set has false results.
func Clock() time.Duration { return time.Duration(time.Now().UnixNano()) }
