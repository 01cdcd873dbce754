package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
)

// board says what happens, when it does, and knows it at the end.
type board struct {
	begun time.Time

	mu         sync.Mutex
	out        io.Writer
	placed     map[string]order // by their positions
	shipped    []order          // in the order in which they were
	failures   int              // attempts of the poison that failed
	letters    []order          // in the order in which they were stored
	waiting    int              // orders that are neither shipped nor letters
	redriving  bool
	meanwhile  int // orders of others that were shipped while a customer was parked
	afterwards int // orders of the customer that was parked, shipped by the shop itself after the redrive
	changed    chan struct{}
}

func newBoard(out io.Writer) *board {
	return &board{begun: time.Now(), out: out, placed: make(map[string]order), changed: make(chan struct{}, 1)}
}

func (b *board) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line(format, args...)
}

func (b *board) line(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, "%4.1f s  %s\n", time.Since(b.begun).Seconds(), fmt.Sprintf(format, args...))
}

// places notes an order with its position before anybody can tell of it.
func (b *board) places(o order, put func() (position string, err error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	position, err := put()
	if err == nil {
		b.placed[position] = o
		b.waiting++
	}
	return err
}

func (b *board) ships(o order, pieces int, redriven bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := "%-5s  order %d, %d × %s: shipped"
	if redriven {
		said = "%-5s  order %d, %d × %s: shipped by the redrive"
	} else {
		b.settles()
	}
	b.shipped = append(b.shipped, o)
	switch {
	case o.Customer != poison.Customer && len(b.letters) > 0 && !b.redriving:
		b.meanwhile++
	case o.Customer == poison.Customer && b.redriving && !redriven:
		b.afterwards++
	}
	b.line(said, o.Customer, o.Number, pieces, o.Item)
}

func (b *board) retried(e consumer.Retried) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.line("%-5s  order %d: attempt %d failed, %v", e.Key, b.placed[e.Position.String()].Number, e.Attempt, e.Err)
}

func (b *board) givenUp(e consumer.GivenUp) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.placed[e.Position.String()]
	b.letters = append(b.letters, o)
	b.settles()
	if e.Reason == deadletter.Followed {
		b.line("%-5s  order %d follows to the letters", e.Key, o.Number)
		return
	}
	b.failures++
	b.line("%-5s  order %d: attempt %d failed too, it becomes a letter, and %s is parked", e.Key, o.Number, e.Attempts, e.Key)
}

// settles notes that an order waits no longer.
func (b *board) settles() {
	b.waiting--
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// settled waits until no order waits.
func (b *board) settled(ctx context.Context) error {
	for {
		b.mu.Lock()
		waiting := b.waiting
		b.mu.Unlock()
		if waiting == 0 {
			return nil
		}
		select {
		case <-b.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d orders wait: %w", waiting, context.Cause(ctx))
		}
	}
}

func (b *board) redriveBegins() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.redriving = true
}

// check says what is true at the end, and gives an error for what is not.
func (b *board) check(left, parked int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := b.inOrder()
	refuse := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	refuse(len(b.shipped) != len(b.placed), "%d orders were shipped, and %d placed", len(b.shipped), len(b.placed))
	refuse(b.failures != 3, "the poisonous order failed %d times, not 3", b.failures)
	refuse(len(b.letters) < 2 || b.letters[0] != poison, "the letters are %v: not the poisonous order and some that followed it", b.letters)
	last := poison.Number - 1
	for _, o := range b.letters {
		refuse(o.Customer != poison.Customer, "an order of %s became a letter", o.Customer)
		refuse(o.Number != last+1, "order %d followed order %d to the letters", o.Number, last)
		last = o.Number
	}
	refuse(b.meanwhile == 0, "nobody else's orders were shipped while %s was parked", poison.Customer)
	refuse(b.afterwards == 0, "%s did not go on after the redrive", poison.Customer)
	refuse(left > 0 || parked > 0, "%d letters are left, and %d customers parked", left, parked)
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	_, err := fmt.Fprintf(b.out, `
checked: %d orders were shipped, each once, and each customer's in order
checked: %d orders of the other customers were shipped while %s was parked
checked: %d letters were redriven, no letter is left, and nobody is parked
`, len(b.shipped), b.meanwhile, poison.Customer, len(b.letters))
	return err
}

// inOrder finds what was shipped twice, out of order, or left out.
func (b *board) inOrder() (wrong []error) {
	last := make(map[string]int)
	for _, o := range b.shipped {
		if o.Number != last[o.Customer]+1 {
			wrong = append(wrong, fmt.Errorf("order %d of %s was shipped after order %d", o.Number, o.Customer, last[o.Customer]))
		}
		last[o.Customer] = o.Number
	}
	return wrong
}
