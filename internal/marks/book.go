package marks

import (
	"slices"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/planted"
)

// remembered is how many positions above low a process remembers of a shard: more than a call has, and what comes again comes from the last calls.
const remembered = 1 << 15

// Book is what a process remembers of the shards that it has sealed. The zero Book is ready. It is safe for concurrent use.
type Book struct {
	mu     sync.Mutex
	shards map[[3]string]*Owner
}

// Owner is what is remembered of one shard in one epoch.
type Owner struct {
	mu    sync.Mutex
	seal  Seal                // as last known to be stored
	from  checkpoint.Position // what the sink held when it was sealed
	voids bool
	tried map[checkpoint.Position]struct{} // or found applied by an earlier owner
	order []checkpoint.Position            // of tried
}

func keyOf(m dedup.Mark) [3]string { return [3]string{m.App, m.Stream, m.Shard} }

// Sealed notes that a shard is sealed as s. voids says that the sink holds dead records of it from an older generation.
func (b *Book) Sealed(m dedup.Mark, s Seal, voids bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shards == nil {
		b.shards = make(map[[3]string]*Owner)
	}
	if o := b.shards[keyOf(m)]; o != nil && o.is(s) { // sealed again by the same owner: what it tried may be in doubt yet
		o.learn(s)
		return
	}
	b.shards[keyOf(m)] = newOwner(s, voids)
}

func newOwner(s Seal, voids bool) *Owner {
	return &Owner{seal: s, from: s.Low, voids: voids, tried: make(map[checkpoint.Position]struct{})}
}

// Of is what is remembered of m's shard in m's epoch. If that is nothing, read gives the seal as stored, which is taken for that at the beginning.
func (b *Book) Of(m dedup.Mark, read func() (Seal, error)) (*Owner, error) {
	b.mu.Lock()
	o := b.shards[keyOf(m)]
	b.mu.Unlock()
	if o != nil && o.is(Seal{Epoch: m.Epoch, Generation: m.Generation, Session: m.Session}) {
		return o, nil
	}
	s, err := read()
	if err == nil {
		err = s.Admits(m)
	}
	if err != nil {
		return nil, err
	}
	b.Sealed(m, Seal{m.Epoch, m.Generation, m.Session, s.Low}, true)
	return b.Of(m, read)
}

// is tells whether this is the memory of an owner of s. Called by the book, which is locked or has just looked.
func (o *Owner) is(s Seal) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seal.Epoch == s.Epoch && o.seal.Generation == s.Generation && o.seal.Session == s.Session
}

// Seal is the seal as it was last known to be stored.
func (o *Owner) Seal() Seal {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seal
}

// Voids tells whether a write of a record removes dead ones of an older generation at the same position: it applies them again.
func (o *Owner) Voids() bool { return o.voids }

func (o *Owner) learn(s Seal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seal = s
}

// Try notes, before the write that may commit them, which marks are tried: if they come again and are found applied, they are repeats. It gives those that were not noted before, for [Owner.Untry].
func (o *Owner) Try(ms []dedup.Mark, fresh []int) (tried []checkpoint.Position) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range fresh {
		if p := ms[i].Position; o.add(p) {
			tried = append(tried, p)
		}
	}
	o.bound(max(remembered, 2*len(fresh)))
	return tried
}

// Untry takes back what Try has noted of a write that was rolled back for sure: if it comes behind a later record it is no repeat.
func (o *Owner) Untry(tried []checkpoint.Position) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range tried {
		delete(o.tried, p)
	}
	o.order = slices.DeleteFunc(o.order, func(p checkpoint.Position) bool {
		_, there := o.tried[p]
		return !there
	})
}

// seen notes that a mark was found applied, by an earlier owner.
func (o *Owner) seen(m dedup.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(m.Position)
	o.bound(remembered)
}

// bound forgets what is over, if it is a fourth of what is kept: each time costs as much as all that is left.
func (o *Owner) bound(kept int) {
	if over := len(o.order) - kept; over > kept/4 {
		o.forget(over)
	}
}

// add gives false if the position is noted already.
func (o *Owner) add(p checkpoint.Position) bool {
	if _, there := o.tried[p]; there {
		return false
	}
	p = clone(p)
	o.tried[p] = struct{}{}
	o.order = append(o.order, p)
	return true
}

// Moved notes that low is stored at p.
func (o *Owner) Moved(p checkpoint.Position) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seal.Low.Before(p) {
		o.seal.Low = p
	}
}

// Remembers tells whether the stored seal s is that which this owner knows, nil if it is. One with a lower low has forgotten what was written, in a fail-over or from a backup: who went on above would
// lose the records between. It is asked where no call that moves low is under way beside: for every write of PerShard, and for Advance.
func (o *Owner) Remembers(s Seal, m dedup.Mark) error {
	if s.Low.Before(o.Seal().Low) && !planted.Is(planted.ForgottenUnseen) {
		return s.refuse(dedup.ErrNotSealed, m)
	}
	return nil
}

// Advanced notes that everything up to p was done: what is tried there is a repeat.
func (o *Owner) Advanced(p checkpoint.Position) {
	o.Moved(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.from.Before(p) {
		o.from = p
	}
	n := 0
	for n < len(o.order) && !p.Before(o.order[n]) {
		n++
	}
	o.forget(n)
}

// forget drops the n positions that were tried first. With lanes they are nearly in order, which is as good: what is left goes with a later call.
func (o *Owner) forget(n int) {
	for _, p := range o.order[:n] {
		delete(o.tried, p)
	}
	o.order = append(o.order[:0], o.order[n:]...)
}

// repeats tells whether a mark that was found applied was applied before this owner began, or by it.
func (o *Owner) repeats(m dedup.Mark) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.from.Before(m.Position) {
		return true
	}
	_, tried := o.tried[m.Position]
	return tried
}

// clone keeps no more of a position than itself: positions of a page share its memory.
func clone(p checkpoint.Position) checkpoint.Position {
	q, err := checkpoint.Parse(strings.Clone(p.String()))
	if err != nil {
		return p
	}
	return q
}
