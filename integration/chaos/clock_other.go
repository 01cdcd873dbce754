//go:build !linux

package main

import "time"

// clock is the time of a clock that all processes of the machine share. It is the wall clock: a run in which that is set has false results.
func clock() time.Duration { return time.Duration(time.Now().UnixNano()) }
