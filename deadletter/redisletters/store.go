package redisletters

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/redismaster"
)

// Config changes how a [Store] keeps its letters. The zero value is the default.
type Config struct {
	// Prefix is what all keys in Redis begin with; it has no braces. Stores of one prefix and database share letters. Defaults to "runnel:letters:".
	Prefix string
	// Replicas is how many replicas must acknowledge each Put and Park, by WAIT, within a second and half of what ctx leaves. One that fewer acknowledged is an error and is stored on the master; it can be
	// repeated. It makes the loss of letters in a fail-over rarer, and does not rule it out: see the package's documentation. Defaults to 0: none is waited for.
	Replicas int
}

// Store is a [deadletter.Store] in Redis. It is safe for concurrent use and starts no goroutine that outlives a call.
type Store struct {
	client redismaster.Client
	cfg    Config
}

var _ deadletter.Store = (*Store)(nil)

var (
	//go:embed put.lua
	putText string
	//go:embed settle.lua
	settleText string
	//go:embed claim.lua
	claimText string

	putScript    = redismaster.NewScript(putText)
	settleScript = redismaster.NewScript(settleText)
	claimScript  = redismaster.NewScript(claimText)
)

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
		return fmt.Errorf("redisletters: %w", err)
	}
	switch {
	case strings.ContainsAny(s.cfg.Prefix, "{}"):
		return fmt.Errorf("redisletters: Config.Prefix is %q: it may have no braces, which choose the slot in a cluster", s.cfg.Prefix)
	case s.cfg.Replicas < 0:
		return fmt.Errorf("redisletters: Config.Replicas is %d: give a number of replicas, or 0", s.cfg.Replicas)
	}
	return nil
}

// Put stores letters in scripts of up to a hundred letters or a megabyte, and one letter more, of one scope. Each script is applied as a whole. It stops at the first that fails.
func (s *Store) Put(ctx context.Context, ls []deadletter.Letter) error {
	for len(ls) > 0 {
		n, size := 1, len(ls[0].Payload)
		for n < len(ls) && n < maxLetters && size < maxBytes && ls[n].Scope == ls[0].Scope {
			size += len(ls[n].Payload)
			n++
		}
		if err := s.put(ctx, "put", ls[:n]); err != nil {
			return err
		}
		ls = ls[n:]
	}
	return nil
}

// A run of a script blocks the server for everybody, and a page of letters is held in memory, so both are bounded.
const (
	maxLetters = 100
	maxBytes   = 1 << 20
)

// Park stores letters of one key by one script, whatever their number and size: all or none. Redis takes up to client-query-buffer-limit, 1 GB, at once.
func (s *Store) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if len(ls) == 0 {
		return nil
	}
	for _, l := range ls[1:] {
		if l.Scope != ls[0].Scope || l.Key != ls[0].Key {
			return fmt.Errorf("redisletters: park %q of %v: letters of one key are parked together, and one is of %q of %v", ls[0].Key, ls[0].Scope, l.Key, l.Scope)
		}
	}
	mode := "follow"
	if open {
		mode = "open"
	}
	return s.put(ctx, mode, ls)
}

// put runs the script that stores letters of one scope.
func (s *Store) put(ctx context.Context, mode string, ls []deadletter.Letter) error {
	n, what := s.names(ls[0].Scope), fmt.Sprintf("%s %d letters, first %q", mode, len(ls), ls[0].ID())
	keys := []string{n.seq(), n.keys(), n.parked(), n.since()}
	place := map[string]int{}
	args := []any{mode, 0}
	for _, l := range ls {
		if place[l.Key] == 0 {
			place[l.Key] = len(place) + 1
			keys, args = append(keys, n.letters(l.Key)), append(args, l.Key)
		}
	}
	args[1] = len(place)
	for _, l := range ls {
		headText, history, err := encode(l)
		if err != nil {
			return s.fault(ctx, fmt.Sprintf("store %q", l.ID()), err)
		}
		keys, args = append(keys, n.letter(l.ID())), append(args, place[l.Key], l.ID(), headText, l.Payload, history)
	}
	answer, short := s.client.RunAndWait(ctx, s.cfg.Replicas, putScript, keys, args...)
	switch said, err := answer.Text(); {
	case err != nil:
		return s.fault(ctx, what, err)
	case said == "free":
		return fmt.Errorf("redisletters: %s: %w", what, deadletter.ErrNotParked)
	case short != nil:
		return s.fault(ctx, what, short)
	}
	return nil
}

// Claim takes, prolongs or gives back a key, by the server's clock, to the millisecond, rounded up. Repeating a call is safe.
func (s *Store) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	what := fmt.Sprintf("claim %q of %v", c.Key, c.Scope)
	ms := int64(max(d, 0) / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	said, err := s.client.Run(ctx, claimScript, []string{s.names(c.Scope).claim(c.Key)}, c.Token, strconv.FormatInt(ms, 10)).Text()
	if err != nil {
		return s.fault(ctx, what, err)
	}
	if said == "claimed" {
		return fmt.Errorf("redisletters: %s: %w", what, deadletter.ErrClaimed)
	}
	return nil
}

// Settle ends a redrive of a letter. After an error that leaves open whether it was applied, it may be repeated: a letter that it removed answers [deadletter.ErrNoLetter] then, and a failure whose time, worker and
// errors are those of the last one in the history is not added again. The client repeats calls whose answer was lost on its own, so that ErrNoLetter may be its own success.
func (s *Store) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	what := fmt.Sprintf("settle %q", id)
	var line []byte
	if failed != nil {
		var err error
		if line, err = encodeFailure(*failed); err != nil {
			return s.fault(ctx, what, err)
		}
	}
	n := s.names(c.Scope)
	said, err := s.client.Run(ctx, settleScript, []string{n.claim(c.Key), n.letters(c.Key), n.letter(id), n.keys(), n.parked(), n.since()}, c.Key, c.Token, id, line).Text()
	switch {
	case err != nil:
		return s.fault(ctx, what, err)
	case said == "claim":
		return fmt.Errorf("redisletters: %s: key %q of %v: %w", what, c.Key, c.Scope, deadletter.ErrNotClaimed)
	case said == "letter":
		return fmt.Errorf("redisletters: %s: key %q of %v: %w", what, c.Key, c.Scope, deadletter.ErrNoLetter)
	}
	return nil
}

var errDenied = errors.New("access denied")

// fault says what failed and, where the answer calls for it, what to do.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	return fmt.Errorf("redisletters: keys %q: %s: %w", s.cfg.Prefix+"*", what, redismaster.Fault(ctx, err, errDenied))
}
