package memdedup

import (
	"maps"

	"github.com/runnelhq/runnel/internal/marks"
)

// Snapshot keeps what the sink holds now: restore has it forget what was written later, effects and marks together, as a fail-over to a copy that lagged does, or a backup.
// What processes remember of their shards is not forgotten. restore may be called again.
func (s *Sink) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.copied()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stored = kept.copied()
	}
}

// stored is what a fail-over may forget.
type stored struct {
	values  map[string][]byte
	shards  map[shardKey]*shard
	entries map[string]marks.Entry // of PerID, by application, stream, shard and position
}

// copied is a copy that shares nothing that changes: values are replaced and never written to.
func (s stored) copied() stored {
	c := stored{maps.Clone(s.values), make(map[shardKey]*shard, len(s.shards)), maps.Clone(s.entries)}
	for k, sh := range s.shards {
		c.shards[k] = &shard{sh.seal, maps.Clone(sh.done), maps.Clone(sh.dead)}
	}
	return c
}
