package consumer

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// Status is what a consumer is doing, for health checks and dashboards.
type Status struct {
	Name    string
	Stream  Stream // zero until the service was asked
	Running bool   // Run was called and has not returned
	Shards  []ShardStatus
	// LastError is the last failure of any kind, also one that was overcome since: compare its time.
	LastError   error
	LastErrorAt time.Time
}

// ShardStatus is one shard that this worker works on.
type ShardStatus struct {
	Shard    string
	Epoch    uint64
	Handled  checkpoint.Position // everything up to here is done
	Stored   checkpoint.Position // the last position known to be stored
	InFlight int                 // records read and not done
	GivenUp  int                 // records that were skipped or became letters since the shard was assigned
	Parked   int                 // keys that are parked, of the whole stream
	Paused   bool                // by [Consumer.Pause]
	// Behind is how far the shard is behind its newest record: that of the last page, and while records are in flight that of the page with the first of them and the time since it came, so that
	// it grows while a record waits. Negative: unknown.
	Behind time.Duration
	ReadAt time.Time // when the last page came; zero: none yet
	// FailingRecords is how many records failed and wait to be tried again. Failing is the last failure of the first of them, nil if there is none; FailingKey is its key, FailingAt
	// its position, Attempt how often it was delivered, and Since when it first failed.
	FailingRecords int
	Failing        error
	FailingKey     string
	FailingAt      checkpoint.Position
	Attempt        int
	Since          time.Time
}

// MarshalJSON writes errors as their texts.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	return json.Marshal(struct {
		plain
		LastError string `json:",omitempty"`
	}{plain(s), text(s.LastError)})
}

// MarshalJSON writes errors as their texts.
func (s ShardStatus) MarshalJSON() ([]byte, error) {
	type plain ShardStatus
	return json.Marshal(struct {
		plain
		Failing string `json:",omitempty"`
	}{plain(s), text(s.Failing)})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Status is a snapshot. It may be called at any time, from any goroutine.
func (c *Consumer) Status() Status {
	c.mu.Lock()
	s := Status{
		Name: c.cfg.Name, Stream: c.stream, Running: c.running,
		LastError: c.lastError, LastErrorAt: c.lastErrorAt,
	}
	runners := make([]*runner, 0, len(c.runners))
	for r := range c.runners {
		runners = append(runners, r)
	}
	c.mu.Unlock()
	for _, r := range runners {
		s.Shards = append(s.Shards, r.status())
	}
	slices.SortFunc(s.Shards, func(a, b ShardStatus) int { return strings.Compare(a.Shard, b.Shard) })
	return s
}
