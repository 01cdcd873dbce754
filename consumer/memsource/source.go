package memsource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// ErrClosed is wrapped by the errors of changing a shard that is closed, and of reading from a closed reader.
var ErrClosed = errors.New("memsource: closed")

// Config is how a [Source] behaves. Values of zero or less are the defaults.
type Config struct {
	Shards      int           // open shards of a new stream; default 1
	PageRecords int           // the most records of a page; default 1,000
	PageBytes   int64         // the most bytes of a page; default 1 MiB. A single record may be larger
	Poll        time.Duration // how long Next waits for a record before it gives an empty page; default 2 s
	Retention   time.Duration // what Stream reports; default 24 h. Records go by Trim only
	Unordered   bool          // Stream reports that the records of a key have no order
}

func (c *Config) orDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	d.Shards = orDefault(d.Shards, 1)
	d.PageRecords = orDefault(d.PageRecords, 1000)
	d.PageBytes = orDefault(d.PageBytes, 1<<20)
	d.Poll = orDefault(d.Poll, 2*time.Second)
	d.Retention = orDefault(d.Retention, 24*time.Hour)
	return d
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Source is a stream in memory, and a [consumer.Source] on it. Its methods are safe for concurrent use. Make it with [New].
type Source struct {
	name string
	cfg  Config

	mu     sync.Mutex
	made   int      // how many streams have had the name
	now    string   // the incarnation of the last of them
	state  state    // of the last of them
	shards []*shard // in the order of their creation; vanished ones are gone
	byID   map[string]*shard
	count  int // shards created, vanished ones too
	slots  [slots]*shard
	seq    *big.Int // the last sequence number given
	puts   int64
	faults []*Fault
}

type state int

const (
	enabled  state = iota
	disabled       // the name has no stream, and what is left can be read
	deleted
)

// New makes a stream of that name. A nil cfg is the defaults.
func New(name string, cfg *Config) *Source {
	s := &Source{name: name, cfg: cfg.orDefaults(), seq: firstSequence()}
	s.begin()
	return s
}

// begin makes a new incarnation. The caller holds mu, or is New.
func (s *Source) begin() {
	s.made++
	s.now = fmt.Sprintf("mem:%s:%d", s.name, s.made)
	s.state, s.shards, s.byID, s.count = enabled, nil, make(map[string]*shard), 0
	for range s.cfg.Shards {
		s.add(nil)
	}
	for i := range s.slots {
		s.slots[i] = s.shards[i%s.cfg.Shards]
	}
}

// held is the error of a call about st, nil if st can be read. The caller holds mu.
func (s *Source) held(st consumer.Stream) error {
	if s.state == deleted {
		return fmt.Errorf("memsource: stream %s was deleted: %w", s.name, consumer.ErrNoStream)
	}
	if st.Incarnation != s.now {
		return fmt.Errorf("memsource: stream %s is %s now, not %s: %w", s.name, s.now, st.Incarnation, consumer.ErrNoStream)
	}
	return nil
}

// Stream tells which stream has the name.
func (s *Source) Stream(ctx context.Context) (consumer.Stream, error) {
	if err := s.call(ctx, OpStream, ""); err != nil {
		return consumer.Stream{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != enabled {
		return consumer.Stream{}, fmt.Errorf("memsource: no stream %s is enabled: %w", s.name, consumer.ErrNoStream)
	}
	return consumer.Stream{
		Name:        s.name,
		Incarnation: s.now,
		Retention:   s.cfg.Retention,
		KeyOrder:    !s.cfg.Unordered,
	}, nil
}

// Shards lists the shards as they are at the call, parents first.
func (s *Source) Shards(ctx context.Context, st consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		list, err := s.list(ctx, st)
		for _, sh := range list {
			if !yield(sh, nil) {
				return
			}
		}
		if err != nil {
			yield(consumer.Shard{}, err)
		}
	}
}

func (s *Source) list(ctx context.Context, st consumer.Stream) ([]consumer.Shard, error) {
	if err := s.call(ctx, OpShards, ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.held(st); err != nil {
		return nil, err
	}
	list := make([]consumer.Shard, len(s.shards))
	for i, sh := range s.shards {
		list[i] = sh.info()
	}
	return s.hide(OpShards, "", list), nil
}

// Pin turns LATEST into the instant of the call.
func (s *Source) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	if at.Kind() != checkpoint.StartLatest {
		return at, nil
	}
	if err := s.call(ctx, OpPin, ""); err != nil {
		return at, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.held(st); err != nil {
		return at, err
	}
	return checkpoint.AtTime(time.Now()), nil
}

// Open begins to read a shard. Besides the errors of [consumer.Source], a position that the shard never had is one.
func (s *Source) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	r := &reader{source: s, stream: st, shard: sh.ID, start: at, idle: time.NewTimer(s.cfg.Poll)}
	r.idle.Stop()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// find is the shard of st with that ID. The caller holds mu.
func (s *Source) find(st consumer.Stream, id string) (*shard, error) {
	if err := s.held(st); err != nil {
		return nil, err
	}
	return s.shard(id)
}

func (s *Source) shard(id string) (*shard, error) {
	if sh := s.byID[id]; sh != nil {
		return sh, nil
	}
	return nil, fmt.Errorf("memsource: stream %s has no shard %q: %w", s.name, id, consumer.ErrNoShard)
}
