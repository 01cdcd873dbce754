package ordering

import (
	"slices"
	"strconv"
)

// naive is what Lanes promise, said in the plainest way: every record is kept, and every answer is counted anew.
type naive struct {
	records []*record
	line    []string         // the lanes that are ready, in the order in which they became so
	until   map[string]int64 // of the lanes that wait for an instant
}

type record struct {
	lane  string
	key   string
	state state
	limit int // 0: it never failed
	call  int // in which it is out
}

func (m *naive) add(r *record) {
	m.records = append(m.records, r)
	if r.state == waiting && len(m.unfinished(r.lane)) == 1 {
		m.line = append(m.line, r.lane)
	}
}

// unfinished is the ordinals of the records of a lane, "" is all lanes, that are not done.
func (m *naive) unfinished(lane string) []uint64 {
	return m.ordinals(func(r *record) bool { return r.state != done && (lane == "" || r.lane == lane) })
}

func (m *naive) ordinals(of func(*record) bool) (os []uint64) {
	for i, r := range m.records {
		if of(r) {
			os = append(os, uint64(i))
		}
	}
	return os
}

func (m *naive) out() []uint64 {
	return m.ordinals(func(r *record) bool { return r.state == out })
}

func (m *naive) watermark() uint64 {
	for i, r := range m.records {
		if r.state != done {
			return uint64(i)
		}
	}
	return uint64(len(m.records))
}

func (m *naive) above() (distances []int) {
	low := m.watermark()
	for _, o := range m.ordinals(func(r *record) bool { return r.state == done }) {
		if o > low {
			distances = append(distances, int(o-low))
		}
	}
	return distances
}

func (m *naive) ready() (records int) {
	for _, lane := range m.line {
		records += len(m.unfinished(lane))
	}
	return records
}

func (m *naive) next() (until int64, waits bool) {
	for lane, u := range m.until {
		if !m.held(lane) && (!waits || u < until) {
			until, waits = u, true
		}
	}
	return until, waits
}

// held tells whether a record of a lane is out.
func (m *naive) held(lane string) bool {
	return slices.ContainsFunc(m.out(), func(o uint64) bool { return m.records[o].lane == lane })
}

// take is lane by lane, in their order, as many records as go together.
func (m *naive) take(n, call int, more func(uint64) bool) (batch []uint64) {
	for full := false; !full && len(m.line) > 0 && len(batch) < n; {
		before := len(batch)
		for _, o := range m.unfinished(m.line[0]) {
			if full = !m.together(append(slices.Clone(batch), o), n) || more != nil && !more(o) && len(batch) > 0; full {
				break
			}
			batch = append(batch, o)
		}
		if len(batch) > before {
			m.line = m.line[1:]
		}
	}
	for _, o := range batch {
		m.records[o].state, m.records[o].call = out, call
	}
	slices.Sort(batch)
	return batch
}

// together tells whether records may be in one call: all failed or none did, and no more than each of them allows.
func (m *naive) together(batch []uint64, n int) bool {
	for _, o := range batch {
		limit := m.records[o].limit
		if (limit > 0) != (m.records[batch[0]].limit > 0) || limit > 0 && len(batch) > limit {
			return false
		}
	}
	return len(batch) <= n
}

// settle gives a record that was out its new state, and lets its lane go on with the last one that was.
func (m *naive) settle(o uint64, to state) {
	r := m.records[o]
	r.state = to
	if m.held(r.lane) {
		return
	}
	if len(m.unfinished(r.lane)) == 0 {
		delete(m.until, r.lane)
	} else if m.until[r.lane] == 0 {
		m.line = append(m.line, r.lane)
	}
}

func (m *naive) back(o uint64, until int64, limit int) {
	r := m.records[o]
	r.limit = max(1, limit)
	if until > m.until[r.lane] {
		m.until[r.lane] = until
	}
	m.settle(o, waiting)
}

// wake gives the lanes that may go on, those first that could before; among equals it has no say.
func (m *naive) wake(now int64) (lanes []string) {
	for lane, u := range m.until {
		if u <= now && !m.held(lane) {
			lanes = append(lanes, lane)
		}
	}
	slices.SortFunc(lanes, func(a, b string) int { return int(m.until[a] - m.until[b]) })
	return lanes
}

// alone is the lane of a record that has one of its own.
func alone(o uint64) string { return "alone " + strconv.FormatUint(o, 10) }
