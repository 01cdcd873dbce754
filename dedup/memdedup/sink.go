package memdedup

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/planted"
)

// Sink is a [dedup.Effects] in the memory of one process. It is safe for concurrent use.
type Sink struct {
	book marks.Book
	*memory
}

// memory is what a database holds elsewhere.
type memory struct {
	mu sync.Mutex
	stored
}

type shardKey struct{ app, stream, shard string }

// shard is the marks of one.
type shard struct {
	seal marks.Seal
	done map[string]marks.Done
	dead map[deadKey]struct{}
}

type deadKey struct {
	position   checkpoint.Position
	generation uint64
}

// New returns an empty sink.
func New() *Sink {
	return &Sink{memory: &memory{stored: stored{make(map[string][]byte), make(map[shardKey]*shard), make(map[string]marks.Entry)}}}
}

// Another returns a sink on the same values and marks, as another process has: what it knows of shards, it has from there.
func (s *Sink) Another() *Sink { return &Sink{memory: s.memory} }

// Tx is what an Apply does: it is kept if its function returns nil.
type Tx struct {
	s   *Sink
	set map[string][]byte
}

// Get is the value of a name, as this transaction left it, and false if it has none. It is the caller's.
func (t *Tx) Get(name string) ([]byte, bool) {
	v, ok := t.set[name]
	if !ok {
		v, ok = t.s.values[name]
	}
	return bytes.Clone(v), ok
}

// Set gives a name a value, which is copied.
func (t *Tx) Set(name string, value []byte) { t.set[name] = bytes.Clone(value) }

// Get is the value of a name, and false if it has none. It is the caller's.
func (s *Sink) Get(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[name]
	return bytes.Clone(v), ok
}

// Terms are all scopes. Marks stay.
func (s *Sink) Terms() dedup.Terms {
	return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}}
}

// of is what is stored of a mark's shard. Called with the lock held.
func (s *Sink) of(m dedup.Mark) *shard {
	k := shardKey{m.App, m.Stream, m.Shard}
	sh := s.shards[k]
	if sh == nil {
		sh = &shard{done: make(map[string]marks.Done), dead: make(map[deadKey]struct{})}
		s.shards[k] = sh
	}
	return sh
}

// Seal is that of [dedup.Sink].
func (s *Sink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	if err := unavailable(ctx); err != nil || m.Scope == dedup.PerID {
		return m.Position, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of(m)
	next, anew, err := sh.seal.Sealed(m, len(sh.done) > 0)
	if err != nil {
		return checkpoint.Position{}, err
	}
	sh.seal = next
	if anew {
		clear(sh.done)
	}
	voids := false
	for d := range sh.dead {
		voids = voids || d.generation < m.Generation
	}
	s.book.Sealed(m, next, voids)
	return next.Low, nil
}

// Advance is that of [dedup.Sink].
func (s *Sink) Advance(ctx context.Context, m dedup.Mark) error {
	if err := unavailable(ctx); err != nil || m.Scope == dedup.PerID {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of(m)
	next, moved, err := sh.seal.Advanced(m)
	if err != nil {
		return err
	}
	o, err := s.owner(m, sh)
	if err == nil {
		err = o.Remembers(sh.seal, m)
	}
	if err != nil {
		return err
	}
	if moved {
		sh.seal = next
	}
	maps.DeleteFunc(sh.done, func(_ string, d marks.Done) bool {
		return !m.Position.Before(d.Position) || planted.Is(planted.DoneEarly)
	})
	o.Advanced(m.Position)
	return nil
}

func (s *Sink) owner(m dedup.Mark, sh *shard) (*marks.Owner, error) {
	return s.book.Of(m, func() (marks.Seal, error) { return sh.seal, nil })
}

// Apply is that of [dedup.Effects]. f is called with the sink's lock held: it must use no other method of the sink.
func (s *Sink) Apply(ctx context.Context, ms []dedup.Mark, f func(tx *Tx, fresh []int) error) error {
	return s.write(ctx, ms, false, f)
}

// Bury is that of [dedup.Sink].
func (s *Sink) Bury(ctx context.Context, ms []dedup.Mark) error {
	return s.write(ctx, ms, true, func(*Tx, []int) error { return nil })
}

func (s *Sink) write(ctx context.Context, ms []dedup.Mark, bury bool, f func(tx *Tx, fresh []int) error) error {
	if err := unavailable(ctx); err != nil || len(ms) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ms[0].Redrive:
		return s.redrive(ms[0], f)
	case ms[0].Scope == dedup.PerID:
		return s.identify(ms, bury, f)
	}
	sh := s.of(ms[0])
	if err := sh.seal.Admits(ms[0]); err != nil {
		return err
	}
	o, err := s.owner(ms[0], sh)
	if err != nil {
		return err
	}
	b, err := marks.Decide(sh.seal, sh.done, o, ms)
	if err != nil {
		return err
	}
	if planted.Is(planted.MarkFirst) {
		sh.mark(o, ms, b, bury)
		return s.effects(b.Fresh, f)
	}
	if err := s.effects(b.Fresh, f); err != nil || len(b.Fresh) == 0 {
		return err
	}
	sh.mark(o, ms, b, bury)
	return nil
}

// mark takes in what a write does to the marks.
func (sh *shard) mark(o *marks.Owner, ms []dedup.Mark, b marks.Batch, bury bool) {
	o.Try(ms, b.Fresh)
	sh.seal.Low = b.Low
	maps.Copy(sh.done, b.Done)
	for _, i := range b.Fresh {
		maps.DeleteFunc(sh.dead, func(d deadKey, _ struct{}) bool {
			return o.Voids() && d.position == ms[i].Position && d.generation < ms[i].Generation && !planted.Is(planted.OlderAccepted)
		})
		if bury {
			sh.dead[deadKey{ms[i].Position, ms[i].Generation}] = struct{}{}
		}
	}
	o.Moved(b.Low)
}

// effects calls f, if there is something for it, and keeps what it did.
func (s *Sink) effects(fresh []int, f func(tx *Tx, fresh []int) error) error {
	if len(fresh) == 0 {
		return nil
	}
	tx := &Tx{s, make(map[string][]byte)}
	if err := f(tx, fresh); err != nil {
		return &dedup.RolledBackError{Err: err}
	}
	maps.Copy(s.values, tx.set)
	return nil
}

func (s *Sink) redrive(m dedup.Mark, f func(tx *Tx, fresh []int) error) error {
	if m.Scope == dedup.PerID {
		e := s.entries[entryKey(m)]
		fresh, err := e.Redrive(m)
		if err != nil || !fresh {
			return err
		}
		if err := s.effects([]int{0}, f); err != nil {
			return err
		}
		e.Dead = false
		s.entries[entryKey(m)] = e
		return nil
	}
	sh := s.of(m)
	d := deadKey{m.Position, m.Generation}
	_, dead := sh.dead[d]
	fresh, err := marks.Redrive(sh.seal, sh.done[m.Lane()], dead, m)
	if err != nil || !fresh {
		return err
	}
	if err := s.effects([]int{0}, f); err != nil {
		return err
	}
	delete(sh.dead, d)
	return nil
}

// identify is a write of PerID.
func (s *Sink) identify(ms []dedup.Mark, bury bool, f func(tx *Tx, fresh []int) error) error {
	var fresh []int
	for i, m := range ms {
		if s.entries[entryKey(m)].Fresh(m) {
			fresh = append(fresh, i)
		}
	}
	if err := s.effects(fresh, f); err != nil {
		return err
	}
	for _, i := range fresh {
		s.entries[entryKey(ms[i])] = marks.Entry{There: true, Generation: ms[i].Generation, Dead: bury}
	}
	return nil
}

// entryKey names a record whatever its generation.
func entryKey(m dedup.Mark) string {
	m.Generation = 0
	return m.ID()
}

func unavailable(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("memdedup: %w: %w", dedup.ErrUnavailable, err)
	}
	return nil
}
