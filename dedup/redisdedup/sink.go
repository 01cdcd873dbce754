package redisdedup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/redismaster"
)

// Config changes how a [Sink] keeps its marks. The zero value is the default.
type Config struct {
	// Prefix is what the sink's own keys in Redis begin with; it has no braces. Sinks of one prefix and database share marks. Defaults to "runnel:dedup:".
	Prefix string
	// Replicas is how many replicas must acknowledge each Apply and Bury, by WAIT, within a second and half of what ctx leaves. One that fewer acknowledged is done on the master and an error that wraps
	// [dedup.ErrUnsettled]; the same call again waits again. It makes the loss of effects in a fail-over rarer, and does not rule it out: see the package's documentation. Defaults to 0: none is waited for.
	Replicas int
	// TTL is how long the mark of a record with [dedup.PerID] stays, to the millisecond: see [dedup.Terms]. That of a record that was given up stays until it is redriven. Defaults to 0: for ever.
	TTL time.Duration
}

// Sink is a [dedup.Effects] in Redis. It is safe for concurrent use and starts no goroutine that outlives a call.
type Sink struct {
	client redismaster.Client
	cfg    Config
	book   marks.Book

	mu       sync.Mutex
	memories map[[3]string]*memory
}

var _ dedup.Effects[*Write] = (*Sink)(nil)

// New returns a sink on a server, on what Sentinel says is the master (redis.NewFailoverClient) or on a cluster (redis.NewClusterClient). The client stays the caller's to close. New
// does no I/O. A nil cfg is the default.
func New(client redis.UniversalClient, cfg *Config) *Sink {
	s := &Sink{client: redismaster.Client{UniversalClient: client}, memories: map[[3]string]*memory{}}
	if cfg != nil {
		s.cfg = *cfg
	}
	s.cfg.Prefix = cmp.Or(s.cfg.Prefix, defaultPrefix)
	return s
}

// Validate refuses a sink that cannot work, without any command.
func (s *Sink) Validate() error {
	if err := s.client.Validate(); err != nil {
		return fmt.Errorf("redisdedup: %w", err)
	}
	var errs []error
	if strings.ContainsAny(s.cfg.Prefix, "{}") {
		errs = append(errs, fmt.Errorf("redisdedup: Config.Prefix is %q: it may have no braces, which choose the slot in a cluster", s.cfg.Prefix))
	}
	if s.cfg.Replicas < 0 {
		errs = append(errs, fmt.Errorf("redisdedup: Config.Replicas is %d: give a number of replicas, or 0", s.cfg.Replicas))
	}
	if s.cfg.TTL < 0 || s.cfg.TTL > 0 && s.cfg.TTL < time.Millisecond {
		errs = append(errs, fmt.Errorf("redisdedup: Config.TTL is %v: give a millisecond or more, or 0", s.cfg.TTL))
	}
	return errors.Join(errs...)
}

// Terms are all scopes, and Config.TTL.
func (s *Sink) Terms() dedup.Terms {
	return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}, TTL: s.cfg.TTL}
}

// ended is the error for a ctx that ended before anything was sent.
func (s *Sink) ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return s.fault(ctx, "begin", dedup.ErrUnavailable, err)
	}
	return nil
}

// broken is the error for a key of the sink that cannot be read.
func (s *Sink) broken(ctx context.Context, key string, err error) error {
	return s.unavailable(ctx, fmt.Sprintf("read %q", key), fmt.Errorf("%w: %w", ErrRow, err))
}

// Seal is that of [dedup.Sink]. It is two round trips: what was read is expected still to be so by what is written.
func (s *Sink) Seal(ctx context.Context, m dedup.Mark) (low checkpoint.Position, err error) {
	if err := s.ended(ctx); err != nil || m.Scope == dedup.PerID {
		return m.Position, err
	}
	k := s.keys(m)
	r := &request{app: m.App, keys: k.all(), expect: append(asking(k, nil),
		expectation{ask: []string{"EXISTS", k.done()}}, expectation{ask: []string{"EXISTS", k.dead()}})}
	rows, err := s.read(ctx, r)
	for {
		if err != nil {
			return checkpoint.Position{}, err
		}
		st, err := s.parseState(ctx, m, nil, rows)
		if err != nil {
			return checkpoint.Position{}, err
		}
		seen := rows[len(rows)-2:]
		next, anew, err := st.Sealed(m, seen[0] != "0")
		if err != nil {
			return checkpoint.Position{}, err
		}
		// Of a seal that stands, low may move meanwhile, by the owner until now: it is not expected, and stays.
		r.expect[0].want, r.expect[2].want = st.raw[:len(fence)], []string{st.now}
		r.expect[3].want = seen[:1]
		row := text(next, st.now)
		r.marks = [][]string{row.setFence(k)}
		if anew {
			r.marks = [][]string{{"UNLINK", k.done(), k.order()}, row.set(k)}
		}
		a, _, err := s.send(ctx, r)
		switch {
		case err != nil:
			return checkpoint.Position{}, err
		case a.said == "rows":
			rows = a.rows
			continue
		case a.said != "ok":
			return checkpoint.Position{}, s.refused(ctx, r, a)
		}
		return s.sealed(ctx, m, next, anew, a.rows)
	}
}

// sealed notes what Seal has stored, where rows were there before.
func (s *Sink) sealed(ctx context.Context, m dedup.Mark, next marks.Seal, anew bool, rows []string) (checkpoint.Position, error) {
	st, err := s.parseState(ctx, m, nil, rows)
	if err != nil {
		return checkpoint.Position{}, err
	}
	if !anew {
		next.Low = st.Low
	}
	s.book.Sealed(m, next, rows[len(rows)-1] != "0")
	s.forget(m)
	return next.Low, nil
}

// swept is how many marks of keys an Advance drops in one run of its script, which blocks the server.
const swept = 1000

// Advance is that of [dedup.Sink]. It is one round trip for each thousand marks of keys that it drops, and one more.
func (s *Sink) Advance(ctx context.Context, m dedup.Mark) error {
	if err := s.ended(ctx); err != nil || m.Scope == dedup.PerID {
		return err
	}
	mem, err := s.memoryOf(ctx, m)
	if err != nil {
		return err
	}
	k, st := s.keys(m), mem.expected(nil)
	for {
		next, moved, err := st.Advanced(m)
		if err != nil {
			return err
		}
		r := &request{app: m.App, keys: k.all(), expect: st.expecting(k, nil), kinds: [][2]string{{k.done(), "hash"}, {k.order(), "zset"}}}
		after := st
		if moved {
			row := text(next, st.history)
			after = &state{row: row, now: st.now}
			r.marks = append(r.marks, row.set(k))
		}
		r.marks = append(r.marks, []string{"sweep", k.order(), k.done(), until(m.Position), number(swept)})
		a, _, err := s.send(ctx, r)
		switch {
		case err != nil:
			s.forget(m)
			return err
		case a.said == "rows":
			if st, err = s.found(ctx, m, mem, st, nil, a.rows); err != nil {
				return err
			}
		case a.said != "ok":
			return s.refused(ctx, r, a)
		case a.left:
			st = after
		default:
			mem.advanced(m.Position)
			return nil
		}
	}
}

// found is what is stored instead of what was expected.
func (s *Sink) found(ctx context.Context, m dedup.Mark, mem *memory, expected *state, lanes, rows []string) (*state, error) {
	st, err := s.parseState(ctx, m, lanes, rows)
	if err == nil {
		err = st.follows(expected, m)
	}
	if err != nil {
		return nil, err
	}
	mem.learn(st.Low, st.done)
	return st, nil
}
