package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tenure is the time in which one worker counted one shard, as the tally tells.
type tenure struct {
	stream, shard, owner        string
	box                         string // "" for a stream that is none of ours any longer
	at                          time.Time
	applied, redelivered, other int
}

// label is a short name for a shard: the box if there may be several, and the end of the shard's ID.
func (t tenure) label() string {
	kind, _, is := strings.Cut(t.box, ":")
	if !is {
		return t.shard
	}
	id := strings.TrimLeft(t.shard[strings.LastIndex(t.shard, "-")+1:], "0")
	return kind + "/" + cmp.Or(id, "0")
}

// progress is how far a run has come, as its database tells.
type progress struct {
	tenures []tenure             // those of a shard in their order
	deaths  map[string]time.Time // of workers that ended when they should not
}

func (r *run) progress(ctx context.Context) (p progress, err error) {
	p.deaths = make(map[string]time.Time)
	err = r.each(ctx, func(rows *sql.Rows) error {
		var t tenure
		var at int64
		err := rows.Scan(&t.stream, &t.shard, &t.owner, &t.box, &at, &t.applied, &t.redelivered, &t.other)
		t.at = time.UnixMilli(at)
		p.tenures = append(p.tenures, t)
		return err
	}, `SELECT stream, shard, owner, coalesce(name, ''), at, applied, redelivered, other
		FROM tenures LEFT JOIN boxes ON incarnation = stream ORDER BY stream, shard, epoch`)
	if err != nil {
		return p, fmt.Errorf("read the progress: %w", err)
	}
	err = r.each(ctx, func(rows *sql.Rows) error {
		var n int
		var at int64
		err := rows.Scan(&n, &at)
		p.deaths[workerName(n)] = time.UnixMilli(at)
		return err
	}, `SELECT n, died FROM workers WHERE died IS NOT NULL`)
	if err != nil {
		return p, fmt.Errorf("read the workers: %w", err)
	}
	return p, nil
}

func (r *run) each(ctx context.Context, scan func(*sql.Rows) error, query string) error {
	rows, err := r.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // read to the end, or given up
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// totals are the sums over all tenures.
func (p progress) totals() (applied, redelivered, other int) {
	for _, t := range p.tenures {
		applied += t.applied
		redelivered += t.redelivered
		other += t.other
	}
	return applied, redelivered, other
}

// held is which shards each worker has, and what it applied.
func (p progress) held() (shards map[string][]string, applied map[string]int) {
	shards, applied = make(map[string][]string), make(map[string]int)
	for i, t := range p.tenures {
		applied[t.owner] += t.applied
		if p.next(i) == nil {
			shards[t.owner] = append(shards[t.owner], t.label())
		}
	}
	for _, s := range shards {
		slices.Sort(s)
	}
	return shards, applied
}

// next is the tenure that followed the i-th one on its shard, nil if it is the last.
func (p progress) next(i int) *tenure {
	if i+1 == len(p.tenures) || p.tenures[i+1].stream != p.tenures[i].stream || p.tenures[i+1].shard != p.tenures[i].shard {
		return nil
	}
	return &p.tenures[i+1]
}

// takeover is what became of a shard whose worker died.
type takeover struct {
	shard, from string
	to          string // "" while nobody handles it
	took        time.Duration
}

// takeovers are those of all workers that died.
func (p progress) takeovers() []takeover {
	var all []takeover
	for i, t := range p.tenures {
		died, is := p.deaths[t.owner]
		if !is {
			continue
		}
		next := p.next(i)
		switch {
		case next == nil:
			all = append(all, takeover{shard: t.label(), from: t.owner})
		case !next.at.Before(died): // else it was given up before
			all = append(all, takeover{t.label(), t.owner, next.owner, next.at.Sub(died)})
		}
	}
	return all
}
