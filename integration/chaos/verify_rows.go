package main

import (
	"maps"
	"slices"
)

// written is a version of a row: the write that made it, if that is known, and all that may have.
type written struct {
	write *event   // that the store acknowledged
	sent  []*event // all that would make this version
}

// checkRows looks at the leases as their versions order them: compare-and-swap makes of each version one write, and no clock is needed to tell
// which came first.
func (l *ledger) checkRows() {
	rows := l.versions()
	l.checkReads(rows)
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		if !isLease(key) {
			continue
		}
		versions := slices.Sorted(maps.Keys(rows[key]))
		var before *event
		for i, v := range versions {
			if want := uint64(i) + 1; v != want {
				l.violated(ruleRows, "version %d of the lease of shard %s was written past its workers: nobody told of it", want, shardOf(rows[key]))
				break
			}
			e := rows[key][v].write
			if e == nil {
				continue
			}
			if before != nil {
				l.checkStep(before, e)
			}
			before = e
		}
	}
}

// checkReads finds what is in a lease and was sent by no worker: a write that was refused may have been for the same version.
func (l *ledger) checkReads(rows map[string]map[uint64]*written) {
	told := make(map[string]uint64)
	for _, e := range l.events {
		if e.Kind != read || told[e.Row] >= e.Version {
			continue
		}
		w := rows[e.Row][e.Version]
		if w == nil || !slices.ContainsFunc(w.sent, func(s *event) bool {
			return s.Owner == e.Owner && s.Epoch == e.Epoch && s.Generation == e.Generation && s.Position == e.Position && s.State == e.State
		}) {
			told[e.Row] = e.Version
			l.violated(ruleRows, "version %d of the lease of shard %s, which %s read, has epoch %d and position %s, and no worker wrote that", e.Version, e.Shard, e.Worker, e.Epoch, e.Position)
		}
	}
}

func shardOf(versions map[uint64]*written) string {
	for _, w := range versions {
		return w.sent[0].Shard
	}
	return ""
}

// versions are the rows' versions, with the writes that were sent for each. It counts the writes of former owners that were refused.
func (l *ledger) versions() map[string]map[uint64]*written {
	type number struct {
		worker string
		n      uint64
		row    string
	}
	rows := make(map[string]map[uint64]*written)
	of := make(map[number]*event)
	newest := make(map[string]uint64) // epoch of each row that was acknowledged
	for i := range l.events {
		e := &l.events[i]
		switch e.Kind {
		case sent:
			if rows[e.Row] == nil {
				rows[e.Row] = make(map[uint64]*written)
			}
			if rows[e.Row][e.Version] == nil {
				rows[e.Row][e.Version] = &written{}
			}
			w := rows[e.Row][e.Version]
			w.sent = append(w.sent, e)
			of[number{e.Worker, e.Write, e.Row}] = e
		case answered:
			if e.Text != "" {
				if e.Shard != "" && e.Epoch < newest[e.Row] {
					l.found.fenced++
				}
				continue
			}
			newest[e.Row] = max(newest[e.Row], e.Epoch)
			w := rows[e.Row][e.Version]
			write := of[number{e.Worker, e.Write, e.Row}]
			if w == nil || write == nil {
				continue // it was told that it was sent, or else its version is missing
			}
			if w.write != nil {
				l.violated(ruleRows, "version %d of the lease of shard %s was acknowledged to %s and to %s", e.Version, e.Shard, w.write.Worker, e.Worker)
			}
			w.write = write
		}
	}
	return rows
}

// checkStep holds two known versions of a lease, between which there may be others, against what may follow what.
func (l *ledger) checkStep(a, b *event) {
	at := func(e *event) string {
		return e.Worker
	}
	switch {
	case b.Generation < a.Generation || b.Generation == a.Generation && b.Epoch < a.Epoch:
		l.violated(ruleRows, "the lease of shard %s goes back from epoch %d of %s to epoch %d of %s, in version %d", b.Shard, a.Epoch, at(a), b.Epoch, at(b), b.Version)
	case b.Generation == a.Generation && b.Position.Before(a.Position):
		l.violated(ruleRows, "the position of shard %s goes back from %s, stored by %s in epoch %d, to %s, stored by %s in epoch %d", b.Shard, a.Position, at(a), a.Epoch, b.Position, at(b), b.Epoch)
	case b.Epoch == a.Epoch && b.Owner != "" && a.Owner != b.Owner:
		l.violated(ruleEpochs, "shard %s changes its owner from %q to %q in epoch %d, in version %d", b.Shard, a.Owner, b.Owner, b.Epoch, b.Version)
	case a.State == "ended" && b.State != "ended":
		l.violated(ruleRows, "shard %s had ended, and is %s again in version %d of %s", b.Shard, b.State, b.Version, at(b))
	}
}
