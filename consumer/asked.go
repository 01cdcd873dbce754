package consumer

import (
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
)

// asked collects, for one shard, up to where handlers asked for a checkpoint.
type asked struct {
	mu     sync.Mutex
	upTo   checkpoint.Position
	notify chan struct{} // holds one token: something was asked for since the runner looked
}

func newAsked() *asked { return &asked{notify: make(chan struct{}, 1)} }

func (a *asked) at(p checkpoint.Position) {
	a.mu.Lock()
	if a.upTo.Before(p) {
		a.upTo = p
	}
	a.mu.Unlock()
	signal(a.notify)
}

// position is the last position asked for.
func (a *asked) position() checkpoint.Position {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.upTo
}
