package main

import (
	"time"

	"github.com/runnelhq/runnel/lease"
)

// swift are timings with which minutes are enough.
var swift = lease.Timing{
	Heartbeat: 500 * time.Millisecond, Expiry: 3 * time.Second, Poll: 500 * time.Millisecond, Request: 700 * time.Millisecond,
	List: 2 * time.Second, Settle: time.Second,
}

// usual are the defaults of [lease.Timing].
var usual = lease.Timing{
	Heartbeat: 2 * time.Second, Expiry: 10 * time.Second, Poll: 2 * time.Second, Request: 2 * time.Second,
	List: 30 * time.Second, Settle: 5 * time.Second,
}
