package main

import "sync/atomic"

// counter counts records, and says when all have come.
type counter struct {
	n    atomic.Int64
	all  int64
	done func()
}

func newCounter(all int64, done func()) *counter {
	return &counter{all: all, done: done}
}

func (c *counter) add(n int) {
	if c.n.Add(int64(n)) == c.all {
		c.done()
	}
}
