package memsource

import (
	"bytes"
	"fmt"
	"math/big"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// add makes an open shard. The caller holds mu, or is New.
func (s *Source) add(parents []*shard) *shard {
	sh := &shard{id: fmt.Sprintf("shardId-%012d", s.count), changed: make(chan struct{})}
	s.count++
	for _, p := range parents {
		sh.parents = append(sh.parents, p.id)
		p.children = append(p.children, sh)
	}
	s.shards = append(s.shards, sh)
	s.byID[sh.id] = sh
	return sh
}

// AddShard adds an open shard without parents and returns its ID. No key is hashed to it: PutTo fills it.
func (s *Source) AddShard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(nil).id
}

// OpenShards is the IDs of the open shards, the oldest first.
func (s *Source) OpenShards() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, sh := range s.shards {
		if !sh.closed {
			ids = append(ids, sh.id)
		}
	}
	return ids
}

// Put adds a record to the shard that its key is hashed to, and returns the shard's ID and the record's position. The error wraps [ErrClosed]
// if that shard was closed without children.
func (s *Source) Put(key string, data []byte) (shard string, p checkpoint.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.slots[slotOf(key)]
	p, err = s.put(sh, entry{key: key, data: [][]byte{data}})
	return sh.id, p, err
}

// PutTo adds a record to a shard, whatever its key. The error wraps [consumer.ErrNoShard] or [ErrClosed].
func (s *Source) PutTo(shard, key string, data []byte) (checkpoint.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.shard(shard)
	if err != nil {
		return checkpoint.Position{}, err
	}
	return s.put(sh, entry{key: key, data: [][]byte{data}})
}

// PutAggregate adds to a shard one aggregate of several records and returns the position of the last. Its records have one sequence number and are counted
// from 1; without data it is an aggregate of none, over which Page.Through moves without a record.
func (s *Source) PutAggregate(shard, key string, data ...[]byte) (checkpoint.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.shard(shard)
	if err != nil {
		return checkpoint.Position{}, err
	}
	return s.put(sh, entry{key: key, data: data, aggregate: true})
}

func (s *Source) put(sh *shard, e entry) (checkpoint.Position, error) {
	if sh.closed || s.state != enabled {
		return checkpoint.Position{}, fmt.Errorf("memsource: put to shard %s of stream %s: %w", sh.id, s.name, ErrClosed)
	}
	s.puts++
	s.seq.Add(s.seq, big.NewInt(1+s.puts*7%23))
	e.at, e.arrived = mustSequence(s.seq.String()), time.Now().Round(0)
	data := make([][]byte, len(e.data))
	for i, d := range e.data {
		data[i] = bytes.Clone(d)
	}
	e.data = data
	sh.entries = append(sh.entries, e)
	sh.wake()
	return e.last(), nil
}

// Roll closes a shard and opens its one child, which gets all of its keys, as DynamoDB Streams does every few hours.
func (s *Source) Roll(shard string) (child string, err error) {
	ids, err := s.replace([]string{shard}, 1)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// Split closes a shard and opens two children, each of which gets half of its keys.
func (s *Source) Split(shard string) (left, right string, err error) {
	ids, err := s.replace([]string{shard}, 2)
	if err != nil {
		return "", "", err
	}
	return ids[0], ids[1], nil
}

// Merge closes two shards and opens their one child, which gets the keys of both.
func (s *Source) Merge(a, b string) (child string, err error) {
	if a == b {
		return "", fmt.Errorf("memsource: merge shard %s with itself: give two shards", a)
	}
	ids, err := s.replace([]string{a, b}, 1)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// CloseShard closes a shard without children, as happens to the open shards of a stream that is disabled.
func (s *Source) CloseShard(shard string) error {
	_, err := s.replace([]string{shard}, 0)
	return err
}

// replace closes shards and opens n children of all of them.
func (s *Source) replace(ids []string, n int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := make([]*shard, len(ids))
	for i, id := range ids {
		sh, err := s.shard(id)
		if err != nil {
			return nil, err
		}
		if sh.closed {
			return nil, fmt.Errorf("memsource: reshard %s of stream %s: %w", id, s.name, ErrClosed)
		}
		old[i] = sh
	}
	children := make([]*shard, n)
	made := make([]string, n)
	for i := range children {
		children[i] = s.add(old)
		made[i] = children[i].id
	}
	for _, sh := range old {
		s.handOver(sh, children)
		sh.closed = true
		sh.wake()
	}
	return made, nil
}

// handOver gives the slots of a shard to its children in turn.
func (s *Source) handOver(sh *shard, children []*shard) {
	given := 0
	for i, owner := range s.slots {
		if owner == sh && len(children) > 0 {
			s.slots[i] = children[given%len(children)]
			given++
		}
	}
}

// Trim drops the records of a shard up to through; an aggregate goes as a whole, when all of it lies there. To open the shard after
// any position that was dropped is [consumer.ErrTrimmed] from then on.
func (s *Source) Trim(shard string, through checkpoint.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.shard(shard)
	if err != nil {
		return err
	}
	for len(sh.entries) > 0 {
		e := &sh.entries[0]
		whole := e.at == through
		if !whole && through.Before(e.last()) {
			break
		}
		sh.entries = sh.entries[1:]
		sh.trimmed++
		sh.horizon = e.at
	}
	sh.wake()
	return nil
}

// Vanish removes a shard, as a service does with closed shards after its retention: reading it is [consumer.ErrNoShard]. Its children still name
// it as their parent. The shard is closed if it was open, and keys that were hashed to it can no longer be put.
func (s *Source) Vanish(shard string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sh := range s.shards {
		if sh.id == shard {
			s.shards = append(s.shards[:i:i], s.shards[i+1:]...)
			delete(s.byID, shard)
			sh.closed = true
			sh.wake()
			return nil
		}
	}
	_, err := s.shard(shard)
	return err
}

// Disable closes all shards without children. The name has no stream from then on, and what is left can be read, as with DynamoDB Streams.
func (s *Source) Disable() { s.leave(disabled) }

// Delete deletes the stream with all it holds.
func (s *Source) Delete() { s.leave(deleted) }

func (s *Source) leave(to state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = to
	s.wakeAll()
}

func (s *Source) wakeAll() {
	for _, sh := range s.shards {
		sh.closed = true
		sh.wake()
	}
}

// Create makes the stream anew under its name: empty, another incarnation, with shard IDs counted from 0 again. What was there is gone.
func (s *Source) Create() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeAll()
	s.begin()
}
