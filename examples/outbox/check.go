package main

import (
	"context"
	"errors"
	"fmt"
)

// intent is what the database says of a job.
type intent struct {
	key, state string
	order      int
	attempts   int
}

func (s *story) intents(ctx context.Context) (all []intent, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT args->>'key', (args->>'number')::int, state, attempt FROM `+s.schema+`.river_job WHERE kind = $1 ORDER BY id`, charge{}.Kind())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // read to the end, or given up
	for rows.Next() {
		var i intent
		if err := rows.Scan(&i.key, &i.order, &i.state, &i.attempts); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// completed tells whether every order has an intent that is completed.
func (s *story) completed(ctx context.Context) (bool, error) {
	stored, err := s.intents(ctx)
	done := make(map[int]bool)
	for _, i := range stored {
		if i.state == "completed" {
			done[i.order] = true
		}
	}
	return len(done) == s.placed, err
}

// check says what is true at the end, and gives an error for what is not.
func (s *story) check(ctx context.Context) error {
	stored, err := s.intents(ctx)
	if err != nil {
		return err
	}
	return s.verdict(stored)
}

func (s *story) verdict(stored []intent) error {
	p := s.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	var wrong []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	of := make(map[int][]intent)
	for _, i := range stored {
		of[i.order] = append(of[i.order], i)
	}
	requests, again := 0, 0
	for n := 1; n <= s.placed; n++ {
		requests += len(p.asked[n])
		if len(of[n]) != 1 {
			refuse(true, "order %d has %d intents", n, len(of[n]))
			continue
		}
		refuse(of[n][0].state != "completed", "the intent of order %d is %s", n, of[n][0].state)
		refuse(p.charged[n] != 1, "order %d was charged %d times", n, p.charged[n])
		for _, key := range p.asked[n] {
			refuse(key != of[n][0].key, "order %d was asked for with the key %q, and its intent has %q", n, key, of[n][0].key)
		}
		if len(p.asked[n]) > 1 {
			again++
		}
	}
	refuse(len(of) != s.placed, "there are intents of %d orders, and %d were placed", len(of), s.placed)
	refuse(len(p.asked[unheard]) < 2, "order %d was asked for once: nothing was shown", unheard)
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	_, err := fmt.Fprintf(s.out, `
checked: %d orders have one intent each, and each is completed
checked: the provider was asked %d times, for order %d and %d others more than once, always with the same key
checked: each order was charged once
`, s.placed, requests, unheard, again-1)
	return err
}
