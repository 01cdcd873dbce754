package deduptest

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
)

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
	low   checkpoint.Position // as it was last known to be stored
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
	if s.isDown {
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
		k = &memory{m.Epoch, r.low, r.low, map[string]bool{}}
		s.known[s.name(m)] = k
	}
	return k
}

// held is what the owner of a shard knows that the sink held.
func (s *naive) held(m dedup.Mark) checkpoint.Position {
	s.knows.Lock()
	defer s.knows.Unlock()
	if k := s.known[s.name(m)]; k != nil && k.epoch == m.Epoch {
		return k.low
	}
	return checkpoint.Position{}
}

// remembers tells whether the sink holds what its owner knew, before it was read, that it held.
func (s *naive) remembers(m dedup.Mark, held checkpoint.Position, r *shardRows) error {
	if r.low.Before(held) && !s.has("goes on when its writes are forgotten") {
		return s.refuse(dedup.ErrNotSealed, m, r)
	}
	return nil
}

// moved notes what is stored.
func (s *naive) moved(k *memory, low checkpoint.Position) {
	s.knows.Lock()
	defer s.knows.Unlock()
	k.low = low
}

// begins notes that all up to a position is done.
func (s *naive) begins(k *memory, p checkpoint.Position) {
	s.knows.Lock()
	defer s.knows.Unlock()
	if k.from.Before(p) {
		k.from = p
	}
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
			s.moved(s.memory(m, next), next.low)
			s.begins(s.memory(m, next), next.low)
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
		held := s.held(m)
		r, err := s.read(ctx, m, doubt)
		if err != nil {
			return err
		}
		err = s.admits(m, r)
		if err == nil {
			err = s.remembers(m, held, r)
		}
		if err != nil && !s.has("lets anybody advance") {
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
			s.moved(s.memory(m, next), next.low)
			s.begins(s.memory(m, next), m.Position)
			return nil
		}
	}
}
