package memsource

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// slots is how many parts the keys are hashed to. Each is owned by one shard, and a split gives half of a shard's parts to each child.
const slots = 1024

func slotOf(key string) int {
	sum := sha256.Sum256([]byte(key))
	return int(binary.BigEndian.Uint64(sum[:]) % slots)
}

// firstSequence is just below a power of ten, so that sequence numbers soon grow from 55 digits to 56, and whoever compares them
// as text is found out.
func firstSequence() *big.Int {
	return new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(55), nil), big.NewInt(50))
}

type shard struct {
	id       string
	parents  []string
	children []*shard
	closed   bool
	entries  []entry             // what is held
	trimmed  int                 // how many entries were trimmed before those
	horizon  checkpoint.Position // of the last of them
	changed  chan struct{}       // closed and replaced when the shard changes
}

// entry is one stored record, or an aggregate of several.
type entry struct {
	at        checkpoint.Position // of the whole
	key       string
	arrived   time.Time
	data      [][]byte
	aggregate bool
}

func (e *entry) position(n int) checkpoint.Position {
	if !e.aggregate || n == 0 {
		return e.at
	}
	p, err := checkpoint.Aggregated(e.at.Sequence(), uint32(n))
	if err != nil {
		panic(err) // a sequence number of ours
	}
	return p
}

// last is the position at which nothing of e is left.
func (e *entry) last() checkpoint.Position { return e.position(len(e.data)) }

func mustSequence(seq string) checkpoint.Position {
	p, err := checkpoint.Sequence(seq)
	if err != nil {
		panic(err) // a sequence number of ours
	}
	return p
}

func (sh *shard) info() consumer.Shard {
	return consumer.Shard{
		ID:      sh.id,
		Parents: slices.Clone(sh.parents),
		Closed:  sh.closed,
	}
}

func (sh *shard) continuations() []consumer.Shard {
	list := make([]consumer.Shard, len(sh.children))
	for i, child := range sh.children {
		list[i] = child.info()
	}
	return list
}

func (sh *shard) wake() {
	close(sh.changed)
	sh.changed = make(chan struct{})
}

// cursor is a place in a shard: all entries before the index-th ever stored were given, and sub records of that one.
type cursor struct{ index, sub int }

// resolve finds where a reader begins. The caller holds the source's mutex.
func (sh *shard) resolve(at checkpoint.Start) (cursor, error) {
	end := cursor{index: sh.trimmed + len(sh.entries)}
	switch at.Kind() {
	case checkpoint.StartLatest:
		return end, nil
	case checkpoint.StartAtTime:
		for i, e := range sh.entries {
			if !e.arrived.Before(at.Time()) {
				return cursor{index: sh.trimmed + i}, nil
			}
		}
		return end, nil
	case checkpoint.StartAfter:
		return sh.after(at.Position())
	default:
		return cursor{index: sh.trimmed}, nil
	}
}

func (sh *shard) after(p checkpoint.Position) (cursor, error) {
	never := fmt.Errorf("memsource: shard %s never had a position %s", sh.id, p)
	seq, err := checkpoint.Sequence(p.Sequence())
	if err != nil {
		return cursor{}, never
	}
	if !sh.horizon.Before(seq) {
		return cursor{}, sh.gone(p)
	}
	i := sort.Search(len(sh.entries), func(i int) bool { return !sh.entries[i].at.Before(seq) })
	if i == len(sh.entries) || sh.entries[i].at != seq {
		return cursor{}, never
	}
	e, sub := sh.entries[i], int(p.Aggregated())
	switch {
	case sub > 0 && (!e.aggregate || sub > len(e.data)):
		return cursor{}, never
	case sub > 0 && sub < len(e.data):
		return cursor{index: sh.trimmed + i, sub: sub}, nil
	}
	return cursor{index: sh.trimmed + i + 1}, nil
}

// before is a start at c that stays where it is.
func (sh *shard) before(c cursor) checkpoint.Start {
	if i := c.index - sh.trimmed; i > 0 {
		return checkpoint.After(sh.entries[i-1].last())
	}
	return checkpoint.Start{}
}

func (sh *shard) gone(p checkpoint.Position) error {
	return fmt.Errorf("memsource: shard %s no longer holds what follows %q: it is trimmed up to %s: %w", sh.id, p, sh.horizon, consumer.ErrTrimmed)
}
