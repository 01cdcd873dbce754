package ddbdedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

const (
	// MaxStripes is the largest [Config].Stripes.
	MaxStripes = 64

	defaultStripes = 16
)

// Config changes how a [Sink] treats its table. The zero value is the default.
type Config struct {
	// MustExist says that the table is made by somebody else: Setup checks it and never makes it, and needs no permission to.
	// Defaults to false: Setup makes the table if it is missing.
	MustExist bool

	// Stripes is over how many rows the fence of a shard is spread with [dedup.PerKey], a power of two from 1 to [MaxStripes]. Transactions that check one row conflict with each other, so that more stripes let more
	// keys go on side by side; each is one write more when a shard changes hands. Workers may differ in it. Defaults to 16, for some 32 keys side by side: see the package's documentation.
	Stripes int

	// TTL is how long marks of [dedup.PerID] stay, a second or longer: DynamoDB deletes them some time after. It must exceed the time for which the stream holds records, and the longest pause of the consumer.
	// Setup has the table delete them. Defaults to 0: they stay for ever.
	TTL time.Duration
}

// Sink is a [dedup.Effects] whose effects are actions of one DynamoDB transaction: see the package's documentation. It is safe for concurrent use and starts no goroutine that outlives a call.
type Sink struct {
	client *dynamodb.Client
	table  string
	cfg    Config
	book   marks.Book

	mu   sync.Mutex
	held map[[3]string]*held
}

var _ dedup.Effects[*Write] = (*Sink)(nil)

// New returns a sink with its marks in the table of that name, which is in the client's account and region, as the tables of the effects must be. It does no I/O: [Sink.Setup] makes the table.
// A nil cfg is the default.
func New(client *dynamodb.Client, table string, cfg *Config) *Sink {
	s := &Sink{client: client, table: table, held: make(map[[3]string]*held)}
	if cfg != nil {
		s.cfg = *cfg
	}
	if s.cfg.Stripes == 0 {
		s.cfg.Stripes = defaultStripes
	}
	return s
}

// tableName is what DynamoDB takes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Validate refuses a sink that cannot work, without any request.
func (s *Sink) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("ddbdedup: "+format, args...)) }
	if s.client == nil {
		fault("New needs a client")
	}
	if !tableName.MatchString(s.table) {
		fault("table %q: want a name of 3 to 255 letters, digits, dots, hyphens and underscores", s.table)
	}
	if n := s.cfg.Stripes; n < 1 || n > MaxStripes || bits.OnesCount(uint(n)) != 1 {
		fault("Config.Stripes is %d, want a power of two from 1 to %d", n, MaxStripes)
	}
	if ttl := s.cfg.TTL; ttl != 0 && ttl < time.Second {
		fault("Config.TTL is %v, want 0, or a second or longer", ttl)
	}
	return errors.Join(faults...)
}

// batch is how many records, with an effect each, a transaction has room for whatever their keys and scope: an effect, a mark and a stripe of each.
const batch = 32

// Terms are all scopes, calls of 32 records, and [Config].TTL.
func (s *Sink) Terms() dedup.Terms {
	return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}, Batch: batch, TTL: s.cfg.TTL}
}

// held is what this process holds of a shard in one epoch: it saves reading. Every write has the conditions that make it right whatever is held.
type held struct {
	owner   *marks.Owner
	stripes int // of this epoch

	mu   sync.Mutex
	done map[string]row // by sort key: the rows that are stored, as far as known. Bounded by what is in flight: Advance removes them
}

// fence is a mark without its record.
func fence(m dedup.Mark) marks.Seal {
	return marks.Seal{Epoch: m.Epoch, Generation: m.Generation, Session: m.Session}
}

func shardOf(m dedup.Mark) [3]string { return [3]string{m.App, m.Stream, m.Shard} }

// same tells whether two seals are of one owner.
func same(a, b marks.Seal) bool {
	return a.Epoch == b.Epoch && a.Generation == b.Generation && a.Session == b.Session
}

// of is what is held of a mark's shard. Where that is nothing the sink is asked for it.
func (s *Sink) of(ctx context.Context, c *call, m dedup.Mark) (*held, error) {
	s.mu.Lock()
	h := s.held[shardOf(m)]
	s.mu.Unlock()
	if h != nil && same(h.owner.Seal(), fence(m)) {
		return h, nil
	}
	head, err := s.head(ctx, c, m)
	if err != nil {
		return nil, err
	}
	if err := head.seal.Admits(m); err != nil {
		return nil, err
	}
	done, err := s.lanes(ctx, c, m, head.ever)
	if err != nil {
		return nil, err
	}
	return s.hold(m, head, done)
}

// hold keeps what was learnt of a shard in m's epoch.
func (s *Sink) hold(m dedup.Mark, head head, done map[string]row) (*held, error) {
	owner, err := s.book.Of(m, func() (marks.Seal, error) { return head.seal, nil })
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[shardOf(m)]
	if h == nil || h.owner != owner || h.stripes < head.stripes {
		h = &held{owner: owner, stripes: max(1, head.stripes), done: make(map[string]row)}
		s.held[shardOf(m)] = h
	}
	h.learn(done)
	return h, nil
}

// known is what is held of the lanes of marks.
func (h *held) known(ms []dedup.Mark) map[string]marks.Done {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := make(map[string]marks.Done, len(ms))
	for _, m := range ms {
		if r, ok := h.done[laneKey(m.Lane())]; ok && r.generation == m.Generation {
			done[m.Lane()] = r.Done
		}
	}
	return done
}

// at is the stripe in which the row of a lane is, or will be. A row that an owner with another number of stripes has left stays where it is.
func (h *held) at(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r, ok := h.done[key]; ok {
		return r.stripe
	}
	return stripe(key, h.stripes)
}

// learn keeps rows that were read, or written.
func (h *held) learn(rows map[string]row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.Copy(h.done, rows)
}

// below are the rows that low, or a generation, has made void.
func (h *held) below(low checkpoint.Position, generation uint64) map[string]row {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := make(map[string]row)
	for key, r := range h.done {
		if r.void(low, generation) {
			rows[key] = r
		}
	}
	return rows
}

// drop forgets rows that were deleted, unless they were written again meanwhile.
func (h *held) drop(rows map[string]row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, r := range rows {
		if h.done[key] == r {
			delete(h.done, key)
		}
	}
}
