package deduptest

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
)

// store is a database in memory, whose sinks know the contract and no other code of sinks, and have one flaw, if it is named.
type store struct {
	flaw string

	mu       sync.Mutex
	counters map[string]int
	shards   map[string]*shardRows
	lose     bool // the next write
	answer   bool // or rather its answer
	then     func()
	isDown   bool
}

// shardRows is what is stored of a shard. It is never changed, but replaced.
type shardRows struct {
	epoch, generation uint64
	session           string
	low               checkpoint.Position
	done              map[string]doneRow
	dead              map[deadRow]bool
	ids               map[string]idRow
}

type doneRow struct {
	position checkpoint.Position
	epoch    uint64
}

type deadRow struct {
	position   string
	generation uint64
}

type idRow struct {
	generation uint64
	dead       bool
}

func newStore(flaw string) *store {
	return &store{flaw: flaw, counters: map[string]int{}, shards: map[string]*shardRows{}}
}

func (s *store) has(flaw string) bool { return s.flaw == flaw }

func (r *shardRows) clone() *shardRows {
	c := *r
	c.done, c.dead, c.ids = maps.Clone(r.done), maps.Clone(r.dead), maps.Clone(r.ids)
	return &c
}

// database is the store as the suite sees it.
func (s *store) database() database {
	return database{
		sink: func() sink { return &naive{store: s, known: map[string]*memory{}} },
		total: func(_ context.Context, name string) (int, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.counters[name], nil
		},
		refuses: true,
		rows: func(_ context.Context, app string) (n int, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for name, r := range s.shards {
				if strings.HasPrefix(name, app+"\n") {
					n += 1 + len(r.done) + len(r.dead) + len(r.ids)
				}
			}
			return n, nil
		},
		save: func() func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			counters, shards := maps.Clone(s.counters), maps.Clone(s.shards)
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.counters, s.shards = counters, shards
			}
		},
		loseAnswer: func(then func()) { s.loses(true, then) },
		loseWrite:  func(then func()) { s.loses(false, then) },
		down: func(down bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.isDown = down
		},
	}
}

func (s *store) loses(answer bool, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose, s.answer, s.then = true, answer, then
}

// naive is a sink that reads, decides, and writes on the condition that what was read is stored still.
type naive struct {
	*store

	knows sync.Mutex
	known map[string]*memory // by shard
}

// memory is what a sink knows of a shard that it has sealed.
type memory struct {
	epoch uint64
	from  checkpoint.Position
	tried map[string]bool
}

func (s *naive) Terms() dedup.Terms {
	return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}}
}

func (s *naive) name(m dedup.Mark) string {
	switch {
	case s.has("takes all applications for one"):
		m.App = ""
	case s.has("takes all streams for one"):
		m.Stream = ""
	case s.has("takes all shards for one"):
		m.Shard = ""
	case s.has("joins names with a space"):
		return m.App + "\n" + m.Stream + " " + m.Shard
	case s.has("joins names with a slash"):
		return m.App + "\n" + m.Stream + "/" + m.Shard
	}
	return m.App + "\n" + m.Stream + "\n" + m.Shard
}

// text is the form in which positions are told apart and ordered.
func (s *naive) text(p checkpoint.Position) string {
	switch {
	case s.has("orders positions as text"):
		if !p.IsEnd() {
			return p.String()
		}
	case s.has("keeps positions as floats"):
		if !p.IsZero() && !p.IsEnd() {
			f, _ := new(big.Float).SetString(p.Sequence())
			short, _ := f.Float64()
			return checkpointText(new(big.Float).SetFloat64(short).Text('f', 0), p.Aggregated())
		}
	case s.has("forgets the place inside an aggregate"):
		if p.Aggregated() > 0 {
			return checkpointText(p.Sequence(), 0)
		}
	case s.has("orders by sequence and place without padding"):
		if p.Aggregated() > 0 {
			return checkpointText(p.Sequence(), 0) + fmt.Sprint(p.Aggregated())
		}
	case s.has("orders by a language's collation"): // which passes over what it takes for punctuation: here the digits of the length
		if !p.IsZero() && !p.IsEnd() {
			return p.Sort()[3:]
		}
	case s.has("cuts positions at 512 characters"):
		return p.Sort()[:min(len(p.Sort()), 512)]
	}
	return p.Sort()
}

func checkpointText(seq string, n uint32) string {
	p, err := checkpoint.Sequence(seq)
	if n > 0 {
		p, err = checkpoint.Aggregated(seq, n)
	}
	if err != nil {
		return seq
	}
	return p.Sort()
}

func (s *naive) before(p, q checkpoint.Position) bool { return s.text(p) < s.text(q) }

func (s *naive) lane(m dedup.Mark) string {
	switch {
	case s.has("keeps keys as text"):
		return strings.ToValidUTF8(m.Lane(), "?")
	case s.has("ends keys at a NUL"):
		key, _, _ := strings.Cut(m.Lane(), "\x00")
		return key
	case s.has("cuts keys at 256 bytes"):
		return m.Lane()[:min(len(m.Lane()), 256)]
	case s.has("folds the case of keys"):
		return strings.ToLower(m.Lane())
	case s.has("strips spaces from keys"):
		return strings.TrimSpace(m.Lane())
	case s.has("orders records without a key as if theirs were empty"):
		return "k" + m.Key
	case s.has("takes keys for places of records without one"):
		return strings.TrimPrefix(m.Lane()[:1]+strings.TrimPrefix(m.Lane()[1:], "p"), "k")
	}
	return m.Lane()
}

// read is what is stored of a mark's shard.
func (s *naive) read(ctx context.Context, m dedup.Mark, doubt bool) (*shardRows, error) {
	why := dedup.ErrUnavailable
	if doubt {
		why = dedup.ErrUnsettled
	}
	if err := context.Cause(ctx); err != nil && !s.has("ignores that a context has ended") {
		return nil, fmt.Errorf("naive: %w: %w", why, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDown && !s.has("says nothing of a database that is down") {
		return nil, fmt.Errorf("naive: %w", why)
	}
	r := s.shards[s.name(m)]
	if r == nil {
		r = &shardRows{}
	}
	return r, nil
}

// lost is how a write ended of which the sink has no answer.
type lost struct{}

func (lost) Error() string { return "the connection has ended" }

// swap writes if what was read is stored still.
func (s *naive) swap(m dedup.Mark, old, next *shardRows, adds map[string]int) (swapped bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDown {
		return false, fmt.Errorf("naive: %w", dedup.ErrUnavailable)
	}
	if stored := s.shards[s.name(m)]; stored != old && (stored != nil || old.epoch != 0 || len(old.ids) > 0) {
		return false, nil
	}
	losing := s.lose
	if losing {
		s.lose = false
		if then := s.then; then != nil {
			if s.answer {
				s.put(m, next, adds)
			}
			s.mu.Unlock()
			then()
			s.mu.Lock()
			return true, lost{}
		}
		if !s.answer {
			return true, lost{}
		}
	}
	s.put(m, next, adds)
	if losing {
		return true, lost{}
	}
	return true, nil
}

func (s *naive) put(m dedup.Mark, next *shardRows, adds map[string]int) {
	if next.done == nil {
		next.done = map[string]doneRow{}
	}
	s.shards[s.name(m)] = next
	for name, n := range adds {
		s.counters[name] += n
	}
}

// pause lets others go on.
func (s *naive) pause() { _ = backoff.Wait(context.Background(), time.Millisecond) }

func (s *naive) refuse(why error, m dedup.Mark, r *shardRows) error {
	switch {
	case s.has("says only that a call was refused"):
		return why
	case s.has("does not say who has sealed"):
		return &dedup.RefusedError{Err: why, Shard: m.Shard}
	case s.has("calls every refusal a fence"):
		why = dedup.ErrFenced
	case s.has("calls a fence a fault of the sink"):
		return dedup.ErrUnavailable
	case s.has("says fenced and unavailable"):
		return fmt.Errorf("%w: %w", dedup.ErrUnavailable, &dedup.RefusedError{Err: why, Shard: m.Shard, Epoch: r.epoch, Generation: r.generation, Session: r.session})
	}
	return &dedup.RefusedError{Err: why, Shard: m.Shard, Epoch: r.epoch, Generation: r.generation, Session: r.session}
}

// admits tells whether a mark's owner may write.
func (s *naive) admits(m dedup.Mark, r *shardRows) error {
	switch {
	case s.has("compares nothing but whether there is a seal") && r.epoch > 0:
		return nil
	case r.epoch == 0 && s.has("takes a write for a seal"):
		return nil
	case r.epoch == 0:
		return s.refuse(dedup.ErrNotSealed, m, r)
	case m.Epoch > r.epoch && s.has("lets a higher epoch write"):
		return nil
	case m.Epoch > r.epoch:
		return s.refuse(dedup.ErrNotSealed, m, r)
	case m.Epoch < r.epoch && s.has("does not compare the epoch of a write"):
		return nil
	case m.Epoch < r.epoch:
		return s.refuse(dedup.ErrFenced, m, r)
	case m.Session != r.session && !s.has("does not compare the session of a write"):
		return s.refuse(dedup.ErrFenced, m, r)
	case m.Generation != r.generation && !s.has("does not compare the generation of a write"):
		return s.refuse(dedup.ErrGeneration, m, r)
	}
	return nil
}

func (s *naive) memory(m dedup.Mark, r *shardRows) *memory {
	s.knows.Lock()
	defer s.knows.Unlock()
	k := s.known[s.name(m)]
	if k == nil || k.epoch != m.Epoch {
		k = &memory{m.Epoch, r.low, map[string]bool{}}
		s.known[s.name(m)] = k
	}
	return k
}

func (s *naive) Seal(ctx context.Context, m dedup.Mark) (low checkpoint.Position, err error) {
	if m.Scope == dedup.PerID && !s.has("fences records in no order") {
		return m.Position, nil
	}
	doubt := false
	for {
		r, err := s.read(ctx, m, doubt)
		if err != nil {
			return low, err
		}
		var refused error
		switch {
		case m.Epoch < r.epoch && !s.has("lets a lower epoch seal"), m.Epoch == r.epoch && m.Session != r.session && !s.has("does not compare the session of a seal"),
			m.Epoch == r.epoch && s.has("seals an epoch once"):
			refused = dedup.ErrFenced
		case m.Generation < r.generation && !s.has("lets an older generation seal"):
			refused = dedup.ErrGeneration
		case m.Generation == r.generation && m.Scope == dedup.PerShard && len(r.done) > 0 && !s.has("seals over marks of keys"):
			refused = dedup.ErrScope
		case m.Scope == dedup.PerShard && len(r.done) > 0 && s.has("never seals over marks of keys"):
			refused = dedup.ErrScope
		}
		if m.Generation > r.generation && r.epoch > 0 && s.has("lets a newer generation seal in any epoch") {
			refused = nil
		}
		if refused != nil && !s.has("writes what it refuses to seal") {
			return low, s.refuse(refused, m, r)
		}
		next := r.clone()
		next.epoch, next.generation, next.session = m.Epoch, m.Generation, m.Session
		switch {
		case r.epoch == 0 && s.has("begins at nothing"):
		case r.epoch == 0,
			m.Generation > r.generation && !s.has("keeps low in a newer generation"),
			s.has("takes the lease's position for low"), s.has("takes the later of lease and sink for low") && r.low.Before(m.Position):
			next.low = m.Position
		}
		if m.Generation > r.generation && !s.has("keeps marks of keys in a newer generation") || s.has("drops marks of keys with each seal") {
			next.done = nil
		}
		if m.Generation > r.generation && s.has("drops the dead in a newer generation") {
			next.dead = nil
		}
		if s.has("strips zeros from positions") && !next.low.IsEnd() && !next.low.IsZero() {
			next.low, _ = checkpoint.Parse(strings.TrimLeft(next.low.String(), "0"))
		}
		if s.has("forgets that a shard has ended") && next.low.IsEnd() {
			next.low = checkpoint.Position{}
		}
		swapped, err := s.swap(m, r, next, nil)
		switch {
		case err != nil:
			if done, err := s.unsettled(err, &doubt); !done {
				return low, err
			}
			if s.has("takes a lost seal for done") {
				return next.low, nil
			}
			continue
		case refused != nil:
			return low, s.refuse(refused, m, r)
		case swapped:
			if k := s.memory(m, next); k.from.Before(next.low) {
				k.from = next.low
			}
			return next.low, nil
		}
	}
}

// unsettled tells whether to look again after a write that had an error.
func (s *naive) unsettled(err error, doubt *bool) (again bool, told error) {
	if _, is := err.(lost); !is { //nolint:errorlint // it is not wrapped
		if *doubt {
			return false, dedup.ErrUnsettled
		}
		return false, err
	}
	switch {
	case s.has("says that nothing was done when an answer is lost"):
		return false, dedup.ErrUnavailable
	case s.has("blames the record when an answer is lost"):
		return false, &dedup.RolledBackError{Err: err}
	case s.has("leaves what is not settled to the caller"): // which is allowed
		return false, dedup.ErrUnsettled
	}
	*doubt = true
	return true, nil
}

func (s *naive) Advance(ctx context.Context, m dedup.Mark) error {
	if m.Scope == dedup.PerID {
		return nil
	}
	doubt := false
	for {
		r, err := s.read(ctx, m, doubt)
		if err != nil {
			return err
		}
		if err := s.admits(m, r); err != nil && !s.has("lets anybody advance") {
			return err
		}
		next := r.clone()
		if s.before(r.low, m.Position) && !s.has("does not advance") || s.has("moves low back") || m.Scope == dedup.PerShard && s.has("advances to the next record") {
			next.low = m.Position
		}
		if s.has("keeps no end") && m.Position.IsEnd() {
			next.low = r.low
		}
		maps.DeleteFunc(next.done, func(_ string, d doneRow) bool {
			return (!s.before(m.Position, d.position) || s.has("drops all marks of keys with low")) && !s.has("keeps marks of keys below low")
		})
		swapped, err := s.swap(m, r, next, nil)
		switch {
		case err != nil:
			if again, err := s.unsettled(err, &doubt); !again {
				return err
			}
			if s.has("takes a lost advance for done") {
				return nil
			}
			continue
		case swapped:
			k := s.memory(m, next)
			s.knows.Lock()
			defer s.knows.Unlock()
			if k.from.Before(m.Position) {
				k.from = m.Position
			}
			return nil
		}
	}
}

func (s *naive) Bury(ctx context.Context, ms []dedup.Mark) error {
	if s.has("buries at most a hundred") {
		ms = ms[:min(len(ms), 100)]
	}
	return s.write(ctx, ms, true, func(effects, []int) error { return nil })
}

func (s *naive) Apply(ctx context.Context, ms []dedup.Mark, f func(e effects, fresh []int) error) error {
	if s.has("applies at most a hundred") {
		ms = ms[:min(len(ms), 100)]
	}
	return s.write(ctx, ms, false, f)
}

func (s *naive) write(ctx context.Context, ms []dedup.Mark, bury bool, f func(e effects, fresh []int) error) (err error) {
	if len(ms) == 0 && !s.has("stumbles over nothing") {
		return nil
	}
	if s.has("swallows panics") {
		defer func() {
			if v := recover(); v != nil {
				err = dedup.ErrUnavailable
			}
		}()
	}
	m, doubt := ms[0], false
	for {
		r, err := s.read(ctx, m, doubt)
		if err != nil {
			return err
		}
		next := r.clone()
		fresh, err := s.decide(ms, r, next, bury)
		if err != nil {
			if s.has("leaves a part of what is out of order") {
				_, _ = s.swap(m, r, next, nil)
			}
			return err
		}
		adds := map[string]int{}
		switch {
		case s.has("marks before the effect"):
			if swapped, err := s.swap(m, r, next, nil); !swapped || err != nil {
				continue
			}
			r = next
			s.pause()
		}
		if len(fresh) > 0 || s.has("calls the function for nothing") || doubt && s.has("calls the function again for what is done") {
			if err := s.effects(f, fresh, adds, len(ms)); err != nil {
				return err
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		s.try(m, ms, fresh, r)
		if s.has("compares the fence before the function only") {
			s.pause()
			s.mu.Lock()
			r = s.shards[s.name(m)]
			if r != nil {
				merged := r.clone()
				if _, err := s.decide(ms, r, merged, bury); err == nil {
					next = merged
				} else {
					next = r.clone()
				}
			} else {
				r = &shardRows{}
			}
			s.mu.Unlock()
		}
		if s.has("writes effects in a step of their own") {
			swapped, err := s.swap(m, r, next, nil)
			if err == nil && swapped {
				s.pause()
				s.mu.Lock()
				for name, n := range adds {
					s.counters[name] += n
				}
				s.mu.Unlock()
				return nil
			}
			continue
		}
		if m.Redrive && s.has("redrives without a lock") {
			s.pause()
			s.mu.Lock()
			if stored := s.shards[s.name(m)]; stored != nil {
				r = stored
			}
			s.mu.Unlock()
		}
		swapped, err := s.swap(m, r, next, adds)
		switch {
		case err != nil:
			if again, err := s.unsettled(err, &doubt); !again {
				return err
			}
			if s.has("takes a lost write for done") {
				return nil
			}
			if s.has("applies again when an answer is lost") {
				s.mu.Lock()
				r = s.shards[s.name(m)]
				s.mu.Unlock()
				if r == nil {
					r = &shardRows{}
				}
				swapped, err = s.swap(m, r, next, adds)
				if swapped && err == nil {
					return nil
				}
			}
		case swapped:
			return nil
		}
	}
}

// try notes what may be applied now.
func (s *naive) try(m dedup.Mark, ms []dedup.Mark, fresh []int, r *shardRows) {
	k := s.memory(m, r)
	s.knows.Lock()
	defer s.knows.Unlock()
	for _, i := range fresh {
		k.tried[s.text(ms[i].Position)] = true
	}
}

// effects calls f.
func (s *naive) effects(f func(e effects, fresh []int) error, fresh []int, adds map[string]int, all int) error {
	told, refused := slices.Clone(fresh), false
	switch {
	case s.has("hands over all if one is fresh"):
		told = nil
		for i := range all {
			told = append(told, i)
		}
	case s.has("hands over in falling order"):
		slices.Reverse(told)
	}
	add := func(name string, n int) error {
		adds[name] += n
		return nil
	}
	if s.has("does effects at once") {
		add = func(name string, n int) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.counters[name] += n
			return nil
		}
	}
	err := f(effects{add: add, refuse: func() error {
		refused = true
		return nil
	}}, told)
	switch {
	case err != nil && s.has("returns the function's error as it is"):
		return err
	case err != nil && s.has("goes on when the function fails"):
		return nil
	case err != nil && s.has("takes the function's error for its own"):
		return fmt.Errorf("naive: %w: %v", dedup.ErrUnavailable, err)
	case err != nil:
		return &dedup.RolledBackError{Err: err}
	case refused && s.has("takes a refused effect for its own fault"):
		return dedup.ErrUnavailable
	case refused && s.has("passes over a refused effect"):
		return nil
	case refused:
		return &dedup.RolledBackError{Err: errOnPurpose}
	}
	return nil
}

// decide tells what is fresh and changes next to what is to be stored.
func (s *naive) decide(ms []dedup.Mark, r, next *shardRows, bury bool) (fresh []int, err error) {
	switch {
	case ms[0].Redrive:
		return s.redrive(ms[0], r, next)
	case ms[0].Scope == dedup.PerID:
		return s.identify(ms, r, next, bury), nil
	}
	for i, m := range ms {
		if err := s.admits(m, next); err != nil && (!bury || !s.has("lets anybody bury")) {
			return nil, err
		}
		lane, k := s.lane(m), s.memory(m, next)
		d := next.done[lane]
		passed := !s.before(next.low, m.Position)
		if s.has("applies what is at low again") {
			passed = s.before(m.Position, next.low)
		}
		applied := passed
		if m.Scope == dedup.PerKey {
			over := !d.position.IsZero() && !s.before(d.position, m.Position)
			if s.has("applies the last record of a key again") {
				over = s.before(m.Position, d.position)
			}
			applied = passed || over
		}
		s.knows.Lock()
		repeat := !s.before(k.from, m.Position) || k.tried[s.text(m.Position)]
		if m.Scope == dedup.PerKey && applied && !passed && d.epoch != m.Epoch && !s.has("takes what an earlier owner did to a key for out of order") {
			repeat = true
			k.tried[s.text(m.Position)] = true
		}
		s.knows.Unlock()
		switch {
		case !applied && (!bury || !s.has("does not pass what is buried")):
		case !applied:
			fresh = append(fresh, i)
			s.bury(m, next)
			continue
		case repeat || s.has("takes what is out of order for a repeat"):
			if bury && s.has("buries what was applied") {
				fresh = append(fresh, i)
				s.bury(m, next)
			}
			continue
		case s.has("applies what is out of order"):
		default:
			return nil, fmt.Errorf("naive: %w", dedup.ErrOutOfOrder)
		}
		fresh = append(fresh, i)
		if m.Scope == dedup.PerShard || s.has("has low jump to the last record of any key") {
			next.low = m.Position
		}
		if m.Scope == dedup.PerKey && (!s.has("keeps no mark of a record without a key") || !m.Alone) {
			next.done = maps.Clone(next.done)
			if next.done == nil {
				next.done = map[string]doneRow{}
			}
			next.done[lane] = doneRow{m.Position, m.Epoch}
		}
		maps.DeleteFunc(next.dead, func(d deadRow, _ bool) bool {
			return d.position == s.text(m.Position) && d.generation < m.Generation && !s.has("keeps the dead of an older generation when they are applied")
		})
		if bury {
			s.bury(m, next)
		}
	}
	return fresh, nil
}

func (s *naive) bury(m dedup.Mark, next *shardRows) {
	if s.has("buries without a note") {
		return
	}
	if next.dead == nil {
		next.dead = map[deadRow]bool{}
	}
	next.dead[s.deadRow(m)] = true
}

func (s *naive) deadRow(m dedup.Mark) deadRow {
	if s.has("takes the dead of all generations for one") {
		m.Generation = 0
	}
	return deadRow{s.text(m.Position), m.Generation}
}

func (s *naive) redrive(m dedup.Mark, r, next *shardRows) ([]int, error) {
	pending := fmt.Errorf("naive: %w", dedup.ErrPending)
	if m.Scope == dedup.PerID {
		e, there := r.ids[s.text(m.Position)]
		switch {
		case (!there || e.generation < m.Generation) && s.has("takes what was not passed for void"):
			return nil, nil
		case !there || e.generation < m.Generation:
			return nil, pending
		case !e.dead && s.has("redrives what is not dead"):
			return []int{0}, nil
		case !e.dead || e.generation != m.Generation:
			return nil, nil
		}
		if !s.has("keeps the dead that were redriven") {
			next.ids[s.text(m.Position)] = idRow{e.generation, false}
		}
		return []int{0}, nil
	}
	if s.has("fences redrives") {
		if err := s.admits(m, r); err != nil {
			return nil, err
		}
	}
	if r.dead[s.deadRow(m)] {
		if !s.has("keeps the dead that were redriven") {
			delete(next.dead, s.deadRow(m))
		}
		return []int{0}, nil
	}
	d := r.done[s.lane(m)]
	passed := !s.before(r.low, m.Position) || !d.position.IsZero() && !s.before(d.position, m.Position)
	switch {
	case passed && s.has("redrives what is not dead"):
		return []int{0}, nil
	case s.has("takes what was not passed for void"), r.epoch > 0 && m.Generation < r.generation:
		return nil, nil
	case s.has("takes what is void for pending"):
		return nil, pending
	case r.epoch == 0, m.Generation > r.generation, !passed:
		return nil, pending
	}
	return nil, nil
}

// identify is what becomes of records in no order.
func (s *naive) identify(ms []dedup.Mark, r, next *shardRows, bury bool) (fresh []int) {
	for i, m := range ms {
		e, there := r.ids[s.text(m.Position)]
		if there && (e.generation >= m.Generation || s.has("takes the records of all generations for one")) {
			if bury && s.has("buries what was applied") {
				next.ids[s.text(m.Position)] = idRow{m.Generation, true}
				fresh = append(fresh, i)
			}
			continue
		}
		fresh = append(fresh, i)
		if next.ids == nil {
			next.ids = map[string]idRow{}
		}
		if !bury || !s.has("does not pass what is buried") {
			next.ids[s.text(m.Position)] = idRow{m.Generation, bury && !s.has("buries without a note")}
		}
	}
	return fresh
}
