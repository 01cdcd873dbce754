package redislease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/internal/redismaster"
	"github.com/runnelhq/runnel/lease"
)

// Config changes how a [Store] keeps its rows. The zero value is the default.
type Config struct {
	// Prefix is what all keys in Redis begin with; it has no braces. Stores of one prefix and database share rows. Defaults to "runnel:".
	Prefix string
	// Replicas is how many replicas must acknowledge each write, by WAIT, within a second and half of what ctx leaves. A write that fewer acknowledged is an error and may be
	// applied. It makes the loss of acknowledged writes in a fail-over rarer, and does not rule it out: see the package's documentation. Defaults to 0: none is waited for.
	Replicas int
}

// Store is a [lease.Store] in Redis. It is safe for concurrent use and starts no goroutine that outlives a call.
type Store struct {
	client redismaster.Client
	cfg    Config
}

// New returns a store on a server, on what Sentinel says is the master (redis.NewFailoverClient) or on a cluster (redis.NewClusterClient). The client stays the caller's to close. New
// does no I/O. A nil cfg is the default.
func New(client redis.UniversalClient, cfg *Config) *Store {
	s := &Store{client: redismaster.Client{UniversalClient: client}}
	if cfg != nil {
		s.cfg = *cfg
	}
	s.cfg.Prefix = cmp.Or(s.cfg.Prefix, defaultPrefix)
	return s
}

// Validate refuses a store that cannot work, without any command.
func (s *Store) Validate() error {
	if err := s.client.Validate(); err != nil {
		return fmt.Errorf("redislease: %w", err)
	}
	switch {
	case strings.ContainsAny(s.cfg.Prefix, "{}"):
		return fmt.Errorf("redislease: Config.Prefix is %q: it may have no braces, which choose the slot in a cluster", s.cfg.Prefix)
	case s.cfg.Replicas < 0:
		return fmt.Errorf("redislease: Config.Replicas is %d: give a number of replicas, or 0", s.cfg.Replicas)
	}
	return nil
}

// Get reads rows from the master, a hundred of one application a command.
func (s *Store) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	rows := make([]lease.Row, len(keys))
	places := make([]place, len(keys))
	cut := batches{store: s, open: map[string]*batch{}}
	for i, key := range keys {
		p, err := split(key)
		if err != nil {
			return nil, s.fault(ctx, fmt.Sprintf("read %q", key), err)
		}
		rows[i].Key, places[i] = key, p
		cut.add(p, i, 0)
	}
	for _, b := range cut.all {
		entries, err := s.read(ctx, getScript, b.keys, b.args)
		if err == nil && len(entries) != len(b.places) {
			err = fmt.Errorf("the answer has %d entries", len(entries))
		}
		if err != nil {
			return nil, s.fault(ctx, fmt.Sprintf("read %d rows, first %q", len(b.places), keys[b.places[0]]), err)
		}
		for j, i := range b.places {
			if entry, ok := entries[j].(string); ok {
				rows[i] = s.decode(places[i], entry)
			}
		}
	}
	return rows, nil
}

// Put writes the rows, those of one application by one script for each hundred rows or megabyte. A script is applied as a whole, and each row in it if its stored version is the row's.
func (s *Store) Put(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, "write", putScript, rows, func(row lease.Row) []any {
		stamp := "stamp"
		if row.Cursor != "" {
			stamp = "keep"
		}
		return []any{text(row.Version), text(row.Version + 1), stamp, row.Value}
	})
}

// Delete removes the rows under the same condition.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, "delete", deleteScript, rows, func(row lease.Row) []any { return []any{text(row.Version)} })
}

func text(version uint64) string { return strconv.FormatUint(version, 10) }

// write runs a script on all rows that are sound, and answers nil when all were written. argsOf is what it needs of a row beside its place.
func (s *Store) write(ctx context.Context, verb string, run redismaster.Script, rows []lease.Row, argsOf func(lease.Row) []any) []error {
	errs := make([]error, len(rows))
	cut := batches{store: s, open: map[string]*batch{}}
	for i, row := range rows {
		p, err := split(row.Key)
		if err == nil && row.Version == math.MaxUint64 {
			err = errors.New("its versions are used up")
		}
		if err != nil {
			errs[i] = s.fault(ctx, fmt.Sprintf("%s %q", verb, row.Key), err)
			continue
		}
		cut.add(p, i, len(row.Value), argsOf(row)...)
	}
	for _, b := range cut.all {
		answers, short, err := s.change(ctx, run, b)
		if err == nil && len(answers) != len(b.places) {
			err = fmt.Errorf("the answer has %d parts", len(answers))
		}
		for j, i := range b.places {
			what := fmt.Sprintf("%s %q at version %d", verb, rows[i].Key, rows[i].Version)
			if err != nil {
				errs[i] = s.fault(ctx, what, err)
				continue
			}
			answer, _ := answers[j].(string)
			errs[i] = s.answered(ctx, what, answer, short)
		}
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return errs
}

// answered turns a script's answer about a row into the row's error.
func (s *Store) answered(ctx context.Context, what, answer string, short error) error {
	found := "it has version " + answer
	switch answer {
	case "ok":
		if short != nil {
			return s.fault(ctx, what, short)
		}
		return nil
	case "index":
		return s.fault(ctx, what, errors.New("the key of its group's changes holds another type than a sorted set: delete that key"))
	case "":
		found = "it does not exist"
	case "!":
		found = "its entry is corrupt"
	}
	return fmt.Errorf("redislease: %s: %w: %s", what, lease.ErrConflict, found)
}
