package redisletters

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
)

// Parked lists the keys that are parked, in the order of their bytes, in pages of a hundred. It is no snapshot: a key that is parked or freed meanwhile may be there or not.
func (s *Store) Parked(ctx context.Context, of deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(yield func(deadletter.Parking, error) bool) {
		n := s.names(of)
		for keys, err := range s.pages(ctx, n.parked()) {
			var ps []deadletter.Parking
			if err == nil {
				ps, err = s.parkings(ctx, of, keys)
			}
			if err != nil {
				yield(deadletter.Parking{}, s.fault(ctx, fmt.Sprintf("list what is parked of %v", of), err))
				return
			}
			for _, p := range ps {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// parkings reads about keys that are parked. One that was freed meanwhile is left out.
func (s *Store) parkings(ctx context.Context, of deadletter.Scope, keys []string) (ps []deadletter.Parking, err error) {
	n := s.names(of)
	pipe := s.client.Pipeline()
	since := pipe.HMGet(ctx, n.since(), keys...)
	counts := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		counts[i] = pipe.ZCard(ctx, n.letters(key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		s.client.Reload(ctx, err)
		return nil, err
	}
	for i, at := range since.Val() {
		text, parked := at.(string)
		if !parked || counts[i].Val() == 0 { // it was freed before the first answer, or between the two
			continue
		}
		µs, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("key %q of %q: %w", keys[i], n.since(), err)
		}
		ps = append(ps, deadletter.Parking{Scope: of, Key: keys[i], Since: time.UnixMicro(µs).UTC(), Letters: int(counts[i].Val())})
	}
	return ps, nil
}

// pages yields the members of a set whose scores are 0, in the order of their bytes.
func (s *Store) pages(ctx context.Context, set string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for from := "-"; ; {
			keys, err := s.client.ZRangeByLex(ctx, set, &redis.ZRangeBy{Min: from, Max: "+", Count: maxLetters}).Result()
			s.client.Reload(ctx, err)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(keys) > 0 && !yield(keys, nil) || len(keys) < maxLetters {
				return
			}
			from = "(" + keys[len(keys)-1]
		}
	}
}

// Read lists letters, keys in the order of their bytes, in pages of a hundred letters, of which about a megabyte of payloads, or one, is held at a time. It is no snapshot: a letter that is stored
// or settled meanwhile may be there or not.
func (s *Store) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		r := reading{store: s, names: s.names(q.Scope), Query: q, yield: yield}
		if err := r.read(ctx); err != nil {
			yield(deadletter.Letter{}, s.fault(ctx, fmt.Sprintf("read letters of %v", q.Scope), err))
		}
	}
}

// reading is one under way.
type reading struct {
	store *Store
	names names
	deadletter.Query
	yield func(deadletter.Letter, error) bool
	given int  // how many were yielded
	ended bool // nobody wants more
}

func (r *reading) read(ctx context.Context) error {
	keyed := r.Keyed || r.Key != ""
	switch {
	case r.ID != "":
		return r.give(ctx, []string{r.ID})
	case keyed:
		return r.key(ctx, r.Key, r.After)
	}
	for keys, err := range r.store.pages(ctx, r.names.keys()) {
		if err == nil {
			err = r.keys(ctx, keys)
		}
		if err != nil || r.ended {
			return err
		}
	}
	return nil
}

// few is how many letters of each of a page of keys are looked up together. Most have no more.
const few = 10

// keys reads the letters of a page of keys.
func (r *reading) keys(ctx context.Context, keys []string) error {
	pipe := r.store.client.Pipeline()
	firsts := make([]*redis.ZSliceCmd, len(keys))
	for i, key := range keys {
		firsts[i] = pipe.ZRangeByScoreWithScores(ctx, r.names.letters(key), r.after(r.After, few))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		r.store.client.Reload(ctx, err)
		return err
	}
	var ids []string
	for i, key := range keys {
		found := firsts[i].Val()
		for _, z := range found {
			ids = append(ids, z.Member.(string))
		}
		if len(found) < few && len(ids) < maxLetters {
			continue
		}
		if err := r.give(ctx, ids); err != nil || r.ended {
			return err
		}
		ids = nil
		if len(found) == few {
			if err := r.key(ctx, key, uint64(found[few-1].Score)); err != nil || r.ended {
				return err
			}
		}
	}
	return r.give(ctx, ids)
}

// key reads the letters of a key.
func (r *reading) key(ctx context.Context, key string, after uint64) error {
	for !r.ended {
		count := int64(maxLetters)
		if r.Limit > 0 {
			count = min(count, int64(r.Limit-r.given))
		}
		found, err := r.store.client.ZRangeByScoreWithScores(ctx, r.names.letters(key), r.after(after, count)).Result()
		r.store.client.Reload(ctx, err)
		if err != nil || len(found) == 0 {
			return err
		}
		var ids []string
		for _, z := range found {
			ids = append(ids, z.Member.(string))
			after = uint64(z.Score)
		}
		if err := r.give(ctx, ids); err != nil || int64(len(found)) < count {
			return err
		}
	}
	return nil
}

func (r *reading) after(seq uint64, count int64) *redis.ZRangeBy {
	return &redis.ZRangeBy{Min: "(" + strconv.FormatUint(seq, 10), Max: "+inf", Count: count}
}

// give reads letters and yields them, without those that are settled.
func (r *reading) give(ctx context.Context, ids []string) error {
	if r.Limit > 0 && len(ids) > r.Limit-r.given {
		ids = ids[:r.Limit-r.given]
	}
	if len(ids) == 0 {
		return nil
	}
	heads, err := r.fields(ctx, ids, "seq", "head", "history")
	if err != nil {
		return err
	}
	var batch []sized
	bytes := 0
	for i, fields := range heads {
		if fields[0] == nil {
			continue
		}
		var parts [3]string
		for j := range parts {
			parts[j], _ = fields[j].(string)
		}
		l, size, err := decode(r.Scope, parts[0], parts[1], parts[2])
		if err != nil {
			return fmt.Errorf("letter %q: %w", r.names.letter(ids[i]), err)
		}
		if r.ID != "" && (l.Seq <= r.After || (r.Keyed || r.Key != "") && l.Key != r.Key) {
			continue
		}
		if bytes += size; len(batch) > 0 && bytes > maxBytes {
			if err := r.payloads(ctx, batch); err != nil || r.ended {
				return err
			}
			batch, bytes = nil, size
		}
		batch = append(batch, sized{l, ids[i], size})
	}
	return r.payloads(ctx, batch)
}

// sized is a letter whose payload, of size bytes, is not read yet.
type sized struct {
	deadletter.Letter
	id   string
	size int
}

// payloads reads the payloads of letters and yields them.
func (r *reading) payloads(ctx context.Context, batch []sized) error {
	var ids []string
	for _, l := range batch {
		if l.size > 0 && !r.Heads {
			ids = append(ids, l.id)
		}
	}
	found, err := r.fields(ctx, ids, "seq", "payload")
	if err != nil {
		return err
	}
	for _, l := range batch {
		if l.size > 0 && !r.Heads {
			seq, payload := found[0][0], found[0][1]
			found = found[1:]
			if seq != strconv.FormatUint(l.Seq, 10) {
				continue // it was settled meanwhile, and may have been stored anew
			}
			text, _ := payload.(string)
			if len(text) != l.size {
				return fmt.Errorf("letter %q: its payload has %d bytes; its head says %d", r.names.letter(l.id), len(text), l.size)
			}
			l.Payload = []byte(text)
		}
		r.given++
		if !r.yield(l.Letter, nil) || r.given == r.Limit {
			r.ended = true
			return nil
		}
	}
	return nil
}

// fields reads fields of letters.
func (r *reading) fields(ctx context.Context, ids []string, names ...string) ([][]any, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := r.store.client.Pipeline()
	got := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		got[i] = pipe.HMGet(ctx, r.names.letter(id), names...)
	}
	_, err := pipe.Exec(ctx)
	r.store.client.Reload(ctx, err)
	if err != nil {
		return nil, err
	}
	found := make([][]any, len(ids))
	for i, cmd := range got {
		if found[i] = cmd.Val(); len(found[i]) != len(names) {
			return nil, errors.New("an answer lacks fields")
		}
	}
	return found, nil
}
