package letterstest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

var brokenKeepers = []broken{
	{"forgets the worker", []string{"every field comes back"}, writing(func(l *deadletter.Letter) { l.Worker = "" })},
	{"keeps numbers as a float64", []string{"every field comes back"}, writing(func(l *deadletter.Letter) { l.Generation = uint64(float64(l.Generation)) })},
	{"keeps milliseconds", []string{"every field comes back"}, writing(func(l *deadletter.Letter) { l.Failed = l.Failed.Truncate(time.Millisecond) })},
	{"drops empty attributes", []string{"every field comes back"}, reading(func(l *deadletter.Letter, _ int) { delete(l.Attributes, "empty value") })},
	{"keeps no time as 1970", []string{"a letter with nothing comes back"}, reading(func(l *deadletter.Letter, _ int) {
		if l.Failed.IsZero() {
			l.Failed = time.Unix(0, 0)
		}
	})},
	{"cuts at a megabyte", []string{"a large payload is kept whole"}, writing(func(l *deadletter.Letter) { l.Payload = l.Payload[:min(len(l.Payload), 1<<20)] })},
	{"keeps payloads as text", []string{"payloads that cannot be compressed are kept byte for byte"}, writing(func(l *deadletter.Letter) { l.Payload = []byte(strings.ToValidUTF8(string(l.Payload), "?")) })},
	{"forgets the place inside an aggregate", []string{"positions of every kind come back"}, reading(func(l *deadletter.Letter, _ int) {
		if l.Position.Aggregated() > 0 {
			l.Position, _ = checkpoint.Sequence(l.Position.Sequence())
		}
	})},
	{"strips leading zeros", []string{"positions of every kind come back"}, reading(func(l *deadletter.Letter, _ int) {
		if l.Position.Sequence() == "00" {
			l.Position = checkpoint.Offset(0)
		}
	})},
	{"strips spaces", []string{"keys and shards are kept byte for byte"}, writing(func(l *deadletter.Letter) { l.Key = strings.TrimSpace(l.Key) })},
	{"cuts keys", []string{"keys and shards are kept byte for byte"}, writing(func(l *deadletter.Letter) { l.Key = l.Key[:min(len(l.Key), 1024)] })},
	{"keeps keys as text", []string{"keys and shards are kept byte for byte"}, writing(func(l *deadletter.Letter) { l.Key = strings.ToValidUTF8(l.Key, "?") })},
	{"wants text", []string{"the texts of failures may be any bytes"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, put: func(ctx context.Context, ls []deadletter.Letter) error {
			if slices.ContainsFunc(ls, func(l deadletter.Letter) bool { return !utf8.ValidString(l.Stack) }) {
				return errBroken
			}
			return s.Put(ctx, ls)
		}}
	}},
	{"hands out its own letters", []string{"letters belong to the caller"}, func(s *memletters.Store) deadletter.Store {
		own := map[string]deadletter.Letter{}
		return reading(func(l *deadletter.Letter, _ int) {
			if _, there := own[l.ID()]; !there {
				own[l.ID()] = *l
			}
			*l = own[l.ID()]
		})(s)
	}},
	{"moves a letter that is stored again", []string{"storing twice is storing once"}, func(s *memletters.Store) deadletter.Store {
		stored := map[string]uint64{}
		f := reading(func(l *deadletter.Letter, _ int) { l.Seq += stored[l.ID()] })(s).(*faulty)
		f.put = func(ctx context.Context, ls []deadletter.Letter) error {
			for _, l := range ls {
				stored[l.ID()]++
			}
			return s.Put(ctx, ls)
		}
		return f
	}},
	{"takes all generations for one", []string{"a letter of another generation is another letter"}, writing(func(l *deadletter.Letter) { l.Generation = 1 })},
	{"stumbles over nothing", []string{"a call without letters does nothing"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, put: func(ctx context.Context, ls []deadletter.Letter) error {
			if len(ls) == 0 {
				return errBroken
			}
			return s.Put(ctx, ls)
		}}
	}},
	{"joins the parts of a scope", []string{"two scopes never see each other"}, func(s *memletters.Store) deadletter.Store {
		join := func(s deadletter.Scope) deadletter.Scope { return deadletter.Scope{App: s.App + " " + s.Stream} }
		f := writing(func(l *deadletter.Letter) { l.Scope = join(l.Scope) })(s).(*faulty)
		f.read = func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
			asked := q.Scope
			q.Scope = join(asked)
			return reading(func(l *deadletter.Letter, _ int) { l.Scope = asked })(s).Read(ctx, q)
		}
		return f
	}},
}

var brokenReaders = []broken{
	{"lists by position", []string{"letters of a key rise in the order of storing"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, read: func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
			return func(yield func(deadletter.Letter, error) bool) {
				var all []deadletter.Letter
				for l, err := range s.Read(ctx, q) {
					if err != nil {
						yield(l, err)
						return
					}
					all = append(all, l)
				}
				slices.SortStableFunc(all, func(a, b deadletter.Letter) int {
					if a.Key != b.Key {
						return strings.Compare(a.Key, b.Key)
					}
					return a.Position.Compare(b.Position)
				})
				for _, l := range all {
					if !yield(l, nil) {
						return
					}
				}
			}
		}}
	}},
	{"counts anew when a key is empty", []string{"a sequence never falls back"}, reading(func(l *deadletter.Letter, n int) { l.Seq = uint64(n) })},
	{"ignores the limit", []string{"a reading has what its query says"}, asking(func(q *deadletter.Query) { q.Limit = 0 })},
	{"ignores After", []string{"a reading has what its query says"}, asking(func(q *deadletter.Query) { q.After = 0 })},
	{"takes no key for all keys", []string{"a reading has what its query says"}, asking(func(q *deadletter.Query) { q.Keyed = false })},
	{"ignores the key of an ID", []string{"a reading has what its query says"}, asking(func(q *deadletter.Query) {
		if q.ID != "" {
			q.Key, q.Keyed = "", false
		}
	})},
	{"gives heads with payloads", []string{"heads have all but the payload"}, asking(func(q *deadletter.Query) { q.Heads = false })},
	{"gives heads without history", []string{"heads have all but the payload"}, reading(func(l *deadletter.Letter, _ int) {
		if l.Payload == nil {
			l.History = nil
		}
	})},
	{"is locked while it lists", []string{"a reading can be left early"}, func(s *memletters.Store) deadletter.Store {
		listing := false
		return &faulty{
			Store: s,
			read: func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
				return func(yield func(deadletter.Letter, error) bool) {
					listing = true
					defer func() { listing = false }()
					s.Read(ctx, q)(yield)
				}
			},
			claim: func(ctx context.Context, c deadletter.Claim, d time.Duration) error {
				if listing {
					return errBroken
				}
				return s.Claim(ctx, c, d)
			},
		}
	}},
	{"lists one page", []string{"ten thousand letters are listed"}, asking(func(q *deadletter.Query) {
		if q.Limit == 0 {
			q.Limit = 1_000
		}
	})},
	{"lists a page of parked keys", []string{"many keys are parked and listed"}, listing(func(_ *deadletter.Parking, n int) bool { return n <= 1_000 })},
}

var brokenParkers = []broken{
	{"parks with Put", []string{"letters of Put park nothing"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, put: func(ctx context.Context, ls []deadletter.Letter) error {
			for _, l := range ls {
				if err := s.Park(ctx, []deadletter.Letter{l}, true); err != nil {
					return err
				}
			}
			return nil
		}}
	}},
	{"counts no letters", []string{"a key is parked with its letter"}, listing(func(p *deadletter.Parking, _ int) bool { p.Letters = 1; return true })},
	{"forgets since when", []string{"a key is parked with its letter"}, listing(func(p *deadletter.Parking, _ int) bool { p.Since = time.Time{}; return true })},
	{"stores what it refuses", []string{"a key that is not parked takes no followers"}, parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
		err := s.Park(ctx, ls, open)
		if errors.Is(err, deadletter.ErrNotParked) {
			_ = s.Put(ctx, ls)
		}
		return err
	})},
	{"takes what is stored without asking for the parking", []string{"a key that is not parked takes no followers"}, parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
		err := s.Park(ctx, ls, open)
		for _, missing := range s.Read(ctx, deadletter.Query{Scope: ls[0].Scope, ID: ls[0].ID()}) {
			return missing
		}
		return err
	})},
	{"parks each letter's key", []string{"letters of several keys are not parked in one call"}, parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
		var errs []error
		for _, l := range ls {
			errs = append(errs, s.Park(ctx, []deadletter.Letter{l}, open))
		}
		return errors.Join(errs...)
	})},
	{"parks without letters", []string{"a letter that is stored under another key parks nothing"}, parkingEmpty(func(deadletter.Letter) bool { return true })},
	{"takes a claim for a letter", []string{"a letter that is stored under another key parks no claimed key"}, func(s *memletters.Store) deadletter.Store {
		claimed := map[string]bool{}
		f := parkingEmpty(func(l deadletter.Letter) bool { return claimed[l.Key] })(s).(*faulty)
		f.claim = func(ctx context.Context, c deadletter.Claim, d time.Duration) error {
			claimed[c.Key] = d > 0
			return s.Claim(ctx, c, d)
		}
		return f
	}},
	{"never un-parks", []string{"the last letter takes the parking with it"}, func(s *memletters.Store) deadletter.Store {
		ever := false
		return parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
			ever = ever || open
			return s.Park(ctx, ls, ever)
		})(s)
	}},
	{"keeps the last failure only", []string{"a failure is added to the history"}, reading(func(l *deadletter.Letter, _ int) { l.History = l.History[max(0, len(l.History)-1):] })},
	{"settles what is not there", []string{"what is not there cannot be settled"}, settling(func(err error) error {
		if errors.Is(err, deadletter.ErrNoLetter) {
			return nil
		}
		return err
	})},
}

var brokenClaimers = []broken{
	{"settles without a claim", []string{"only who has the claim settles"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, settle: func(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
			_ = s.Claim(ctx, c, aLongClaim)
			return s.Settle(ctx, c, id, failed)
		}}
	}},
	{"settles with another's claim", []string{"only who has the claim settles"}, settling(func(err error) error {
		if errors.Is(err, deadletter.ErrNotClaimed) {
			return nil
		}
		return err
	})},
	{"settles after the claim ran out", []string{"a claim runs out"}, func(s *memletters.Store) deadletter.Store {
		holder := ""
		return &faulty{
			Store: s,
			claim: func(ctx context.Context, c deadletter.Claim, d time.Duration) error {
				err := s.Claim(ctx, c, d)
				if err == nil {
					holder = c.Token
				}
				return err
			},
			settle: func(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
				if c.Token == holder {
					_ = s.Claim(ctx, c, aLongClaim)
				}
				return s.Settle(ctx, c, id, failed)
			},
		}
	}},
	{"gives back another's claim", []string{"a claim is refused to others until it is given back"}, claiming(func(s *memletters.Store, ctx context.Context, c deadletter.Claim, d time.Duration) error {
		err := s.Claim(ctx, c, d)
		if d == 0 {
			return nil
		}
		return err
	})},
	{"keeps claims for ever", []string{"a claim runs out"}, claiming(func(s *memletters.Store, ctx context.Context, c deadletter.Claim, d time.Duration) error {
		return s.Claim(ctx, c, d*1_000)
	})},
	{"keeps claims for half the time", []string{"a claim runs out"}, claiming(func(s *memletters.Store, ctx context.Context, c deadletter.Claim, d time.Duration) error {
		return s.Claim(ctx, c, d/2)
	})},
	{"does not prolong", []string{"a claim is prolonged"}, func(s *memletters.Store) deadletter.Store {
		seen := map[string]bool{}
		return claiming(func(s *memletters.Store, ctx context.Context, c deadletter.Claim, d time.Duration) error {
			if seen[c.Token] && d > 0 {
				return nil
			}
			seen[c.Token] = true
			return s.Claim(ctx, c, d)
		})(s)
	}},
	{"looks before it claims", []string{"one of several claimers wins"}, func(s *memletters.Store) deadletter.Store {
		var mu sync.Mutex
		holder := ""
		return claiming(func(_ *memletters.Store, ctx context.Context, c deadletter.Claim, d time.Duration) error {
			mu.Lock()
			now := holder
			mu.Unlock()
			if now != "" && now != c.Token {
				return deadletter.ErrClaimed
			}
			takingTime(ctx)
			mu.Lock()
			defer mu.Unlock()
			if holder = c.Token; d == 0 {
				holder = ""
			}
			return nil
		})(s)
	}},
}

var brokenRacers = []broken{
	{"stores after the end", []string{"an ended context is an error"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, put: func(ctx context.Context, ls []deadletter.Letter) error { return s.Put(context.WithoutCancel(ctx), ls) }}
	}},
	{"settles after the end", []string{"an ended context is an error"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, settle: func(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
			return s.Settle(context.WithoutCancel(ctx), c, id, failed)
		}}
	}},
	{"ends a listing without an error", []string{"an ended context is an error"}, func(s *memletters.Store) deadletter.Store {
		return &faulty{Store: s, read: func(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
			return s.Read(context.WithoutCancel(ctx), q)
		}}
	}},
	{"looks for the parking before it appends", []string{"nothing is appended to a key that was just freed"}, parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
		if open {
			return s.Park(ctx, ls, open)
		}
		if !isParked(s, ls[0]) {
			return deadletter.ErrNotParked
		}
		takingTime(ctx)
		return s.Put(ctx, ls)
	})},
	{"loses an append", []string{"nothing is appended to a key that was just freed"}, func(s *memletters.Store) deadletter.Store {
		var n atomic.Int32
		return parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
			if !open && n.Add(1)%5 == 0 && isParked(s, ls[0]) {
				return nil
			}
			return s.Park(ctx, ls, open)
		})(s)
	}},
	{"un-parks after the last letter was settled", []string{"nothing is appended to a key that was just freed", "what callers see at once has an order"}, func(s *memletters.Store) deadletter.Store {
		var late atomic.Bool // the parking is still there
		return &faulty{
			Store: s,
			settle: func(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
				late.Store(true)
				defer late.Store(false)
				err := s.Settle(ctx, c, id, failed)
				takingTime(ctx)
				return err
			},
			park: func(ctx context.Context, ls []deadletter.Letter, open bool) error {
				takingTime(ctx)
				err := s.Park(ctx, ls, open)
				if errors.Is(err, deadletter.ErrNotParked) && late.Load() {
					return s.Put(ctx, ls)
				}
				return err
			},
		}
	}},
	{"loses what is stored while it stores", []string{"letters stored by many at once are stored once, in order"}, func(s *memletters.Store) deadletter.Store {
		var busy sync.Mutex
		return &faulty{Store: s, put: func(ctx context.Context, ls []deadletter.Letter) error {
			if !busy.TryLock() {
				return nil
			}
			defer busy.Unlock()
			takingTime(ctx)
			return s.Put(ctx, ls)
		}}
	}},
	{"reads a letter as it was when it was first read", []string{"what callers see at once has an order"}, func(s *memletters.Store) deadletter.Store {
		var mu sync.Mutex
		old := map[string]deadletter.Letter{}
		return reading(func(l *deadletter.Letter, _ int) {
			mu.Lock()
			defer mu.Unlock()
			if _, there := old[l.ID()]; !there {
				old[l.ID()] = *l
			}
			*l = old[l.ID()]
		})(s)
	}},
	{"refuses at random", []string{"what callers see at once has an order"}, func(s *memletters.Store) deadletter.Store {
		var n atomic.Int32
		return parking(func(s *memletters.Store, ctx context.Context, ls []deadletter.Letter, open bool) error {
			if !open && n.Add(1)%7 == 0 {
				return deadletter.ErrNotParked
			}
			return s.Park(ctx, ls, open)
		})(s)
	}},
}

func brokenStores() []broken {
	return slices.Concat(brokenKeepers, brokenReaders, brokenParkers, brokenClaimers, brokenRacers)
}
