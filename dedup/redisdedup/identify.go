package redisdedup

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// identify writes marks of PerID. It is two round trips: nobody owns a shard, so that only the server knows which records were applied.
func (s *Sink) identify(ctx context.Context, ms []dedup.Mark, bury bool, f func(w *Write, fresh []int) error) error {
	k := s.keys(ms[0])
	keys := make([]string, len(ms))
	for i, m := range ms {
		keys[i] = k.id(m.Position)
	}
	var ask []expectation
	for _, words := range chunks(1, []string{"MGET"}, keys) {
		ask = append(ask, expectation{ask: words})
	}
	rows, err := s.read(ctx, &request{app: ms[0].App, keys: keys, expect: ask})
	if err != nil {
		return err
	}
	for {
		fresh, err := s.unknown(ctx, ms, keys, rows)
		if err != nil {
			return err
		}
		if len(fresh) == 0 {
			return s.acknowledged(ctx, ms[0])
		}
		w, err := s.writeOf(ms[0], fresh, f)
		if err != nil {
			return err
		}
		r := &request{app: ms[0].App, keys: keys, write: w, replicas: s.cfg.Replicas}
		for at, e := range ask {
			e.want = rows[at*most:][:len(e.ask)-1]
			r.expect = append(r.expect, e)
		}
		for _, i := range fresh {
			r.marks = append(r.marks, s.setID(ms[i], bury))
		}
		a, short, err := s.send(ctx, r)
		switch {
		case err != nil:
			return err
		case a.said == "rows":
			rows = a.rows
		case a.said != "ok":
			return s.refused(ctx, r, a)
		default:
			return short
		}
	}
}

// unknown are the indices of the marks that rows have not.
func (s *Sink) unknown(ctx context.Context, ms []dedup.Mark, keys, rows []string) (fresh []int, err error) {
	if len(rows) != len(ms) {
		return nil, s.broken(ctx, keys[0], fmt.Errorf("the script read %d rows of %d", len(rows), len(ms)))
	}
	for i, m := range ms {
		var e marks.Entry
		if e, err = parseEntry(rows[i]); err != nil {
			return nil, s.broken(ctx, keys[i], err)
		}
		if e.Fresh(m) {
			fresh = append(fresh, i)
		}
	}
	return fresh, nil
}

// setID is the command that stores the mark of a record.
func (s *Sink) setID(m dedup.Mark, bury bool) []string {
	key := s.keys(m).id(m.Position)
	if bury {
		return []string{"SET", key, textOfEntry(m, dead)} // without an end: until it is redriven
	}
	words := []string{"SET", key, textOfEntry(m, applied)}
	if s.cfg.TTL > 0 {
		words = append(words, "PX", number(s.cfg.TTL.Milliseconds()))
	}
	return words
}
