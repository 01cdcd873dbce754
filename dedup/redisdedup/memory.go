package redisdedup

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// memory is what a process knows to be stored of a shard that it has sealed, beside what the book has: nobody else writes it while the seal stands, so that it is expected, and need not be read first. What
// it has of lanes is bounded as what is stored: by Advance.
type memory struct {
	owner   *marks.Owner
	history string

	mu   sync.Mutex
	done map[string]mark
}

// state is what is stored, or taken for that.
type state struct {
	row
	now  string // the history of the server that was asked
	done map[string]mark
}

// marksOf is done for package marks.
func (st *state) marksOf() map[string]marks.Done {
	done := make(map[string]marks.Done, len(st.done))
	for lane, d := range st.done {
		done[lane] = d.Done
	}
	return done
}

// admit tells whether m's owner may write. A server of another history has forgotten writes: which ones, the owner learns when it seals again.
func (st *state) admit(m dedup.Mark) error {
	if err := st.Admits(m); err != nil {
		return err
	}
	if st.history != st.now {
		return st.forgotten(m)
	}
	return nil
}

// follows tells whether a state may come after the one that was known before it was asked for: if low is below, the server has forgotten.
func (st *state) follows(known *state, m dedup.Mark) error {
	if err := st.admit(m); err != nil {
		return err
	}
	if st.Low.Before(known.Low) {
		return st.forgotten(m)
	}
	return nil
}

func (st *state) forgotten(m dedup.Mark) error {
	return &dedup.RefusedError{Err: dedup.ErrNotSealed, Shard: m.Shard, Epoch: st.Epoch, Generation: st.Generation, Session: st.Session}
}

// expected is what the process takes for stored, of these lanes.
func (mem *memory) expected(lanes []string) *state {
	st := &state{row: text(mem.owner.Seal(), mem.history), now: mem.history, done: make(map[string]mark, len(lanes))}
	mem.mu.Lock()
	defer mem.mu.Unlock()
	for _, lane := range lanes {
		st.done[lane] = mem.done[lane]
	}
	return st
}

// learn takes over what was found stored, or was written.
func (mem *memory) learn(low checkpoint.Position, done map[string]mark) {
	mem.owner.Moved(low)
	mem.mu.Lock()
	defer mem.mu.Unlock()
	for lane, d := range done {
		if d.raw == "" {
			delete(mem.done, lane)
			continue
		}
		mem.done[lane] = d
	}
}

// advanced drops what Advance has dropped.
func (mem *memory) advanced(p checkpoint.Position) {
	mem.owner.Advanced(p)
	mem.mu.Lock()
	defer mem.mu.Unlock()
	maps.DeleteFunc(mem.done, func(_ string, d mark) bool { return !p.Before(d.Position) })
}

func shardOf(m dedup.Mark) [3]string { return [3]string{m.App, m.Stream, m.Shard} }

// memoryOf is the memory of m's owner. Where there is none it is read.
func (s *Sink) memoryOf(ctx context.Context, m dedup.Mark) (*memory, error) {
	o, err := s.book.Of(m, func() (marks.Seal, error) {
		st, err := s.stored(ctx, m, nil)
		if err != nil {
			return marks.Seal{}, err
		}
		return st.Seal, st.admit(m)
	})
	if err != nil {
		return nil, err
	}
	if mem := s.memory(shardOf(m)); mem != nil && mem.owner == o {
		return mem, nil
	}
	st, err := s.stored(ctx, m, nil)
	if err == nil {
		err = st.admit(m)
	}
	if err != nil {
		return nil, err
	}
	mem := &memory{owner: o, history: st.history, done: map[string]mark{}}
	if mem.done, err = s.lanes(ctx, m); err != nil {
		return nil, err
	}
	o.Moved(st.Low)
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.memories[shardOf(m)]; other != nil && other.owner == o { // another call was first, and may have written since
		return other, nil
	}
	s.memories[shardOf(m)] = mem
	return mem, nil
}

func (s *Sink) memory(shard [3]string) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memories[shard]
}

// forget has the memory of a shard read again: it is in doubt.
func (s *Sink) forget(m dedup.Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.memories, shardOf(m))
}

// lanes reads all marks of keys of a shard, in pages. While the shard is sealed, nobody else writes them.
func (s *Sink) lanes(ctx context.Context, m dedup.Mark) (map[string]mark, error) {
	all := map[string]mark{}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var page []string
		var err error
		page, cursor, err = s.client.HScan(ctx, s.keys(m).done(), cursor, "", 1000).Result()
		if err != nil {
			s.client.Reload(ctx, err)
			return nil, s.unavailable(ctx, "read marks of keys", err)
		}
		for i := 0; i+1 < len(page); i += 2 {
			if all[page[i]], err = parseMark(page[i+1]); err != nil {
				return nil, s.broken(ctx, s.keys(m).done(), err)
			}
		}
	}
	return all, nil
}

// stored reads the seal of m's shard, and marks of lanes.
func (s *Sink) stored(ctx context.Context, m dedup.Mark, lanes []string) (*state, error) {
	rows, err := s.read(ctx, &request{app: m.App, keys: s.keys(m).all(), expect: asking(s.keys(m), lanes)})
	if err != nil {
		return nil, err
	}
	return s.parseState(ctx, m, lanes, rows)
}

func (k shardKeys) all() []string { return []string{k.seal(), k.done(), k.order(), k.dead()} }

// asking are the expectations that ask for a state.
func asking(k shardKeys, lanes []string) []expectation {
	es := []expectation{
		{ask: append([]string{"HMGET", k.seal()}, fence...)},
		{ask: append([]string{"HMGET", k.seal()}, rest...)},
		{ask: []string{"history"}},
	}
	for _, ask := range chunks(1, []string{"HMGET", k.done()}, lanes) {
		es = append(es, expectation{ask: ask})
	}
	return es
}

// expecting are the expectations of a state: all of it must be as it is.
func (st *state) expecting(k shardKeys, lanes []string) []expectation {
	es := asking(k, lanes)
	es[0].want, es[1].want, es[2].want = st.raw[:len(fence)], st.raw[len(fence):], []string{st.history}
	for i := range es[3:] {
		for _, lane := range es[3+i].ask[2:] {
			es[3+i].want = append(es[3+i].want, st.done[lane].raw)
		}
	}
	return es
}

// parseState reads what the expectations have read.
func (s *Sink) parseState(ctx context.Context, m dedup.Mark, lanes, rows []string) (*state, error) {
	fields := len(fence) + len(rest)
	if len(rows) < fields+1+len(lanes) {
		return nil, s.broken(ctx, s.keys(m).seal(), fmt.Errorf("the script read %d rows", len(rows)))
	}
	st := &state{now: rows[fields], done: make(map[string]mark, len(lanes))}
	var err error
	if st.row, err = parse(rows[:fields]); err != nil {
		return nil, s.broken(ctx, s.keys(m).seal(), err)
	}
	for i, lane := range lanes {
		if st.done[lane], err = parseMark(rows[fields+1+i]); err != nil {
			return nil, s.broken(ctx, s.keys(m).done(), err)
		}
	}
	return st, nil
}
