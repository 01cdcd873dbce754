package deadletter

import (
	"context"
	"iter"
)

// Keys lists the keys that have letters of a query, each once. It reads no payloads and holds one letter at a time. An error is yielded last.
func Keys(ctx context.Context, s Store, q Query) iter.Seq2[string, error] {
	q.Heads = true
	return func(yield func(string, error) bool) {
		last, first := "", true
		for l, err := range s.Read(ctx, q) {
			if err != nil {
				yield("", err)
				return
			}
			if !first && l.Key == last {
				continue
			}
			last, first = l.Key, false
			if !yield(l.Key, nil) {
				return
			}
		}
	}
}
