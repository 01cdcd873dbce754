package redislease

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
)

// List yields the rows of a group in the order of their cursors, from the master, in pages of a hundred rows or a megabyte. The page is of one instant and the listing
// is not: a row that is stamped meanwhile moves to its end, and may come twice, with its new version last. None is passed over.
func (s *Store) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		l := listing{store: s, what: fmt.Sprintf("list %q", group)}
		p, err := split(group + "name")
		if err != nil || !strings.HasSuffix(group, "/") {
			yield(lease.Row{}, s.fault(ctx, l.what, errors.New("not a group: an application without braces, and all up to and including the last slash")))
			return
		}
		l.place = p
		l.pages(ctx, parseCursor(after), yield)
	}
}

// listing is one under way.
type listing struct {
	store *Store
	what  string
	place
	named map[string]bool // in a full listing: what came
}

// page is one answer of the script.
type page struct {
	last    int64  // the last cursor that was stamped
	next    string // where the next begins; "": nowhere
	lacking int64  // rows that the changes lack; -1: they cannot be read
	entries []string
}

// pages yields pages from the cursor on.
func (l *listing) pages(ctx context.Context, after int64, yield func(lease.Row, error) bool) {
	first, from := true, text(uint64(max(0, after))) //nolint:gosec // not negative
	var lacking int64
	for {
		p, err := l.page(ctx, from)
		if err != nil {
			yield(lease.Row{}, l.store.fault(ctx, l.what, err))
			return
		}
		if first && after > p.last { // the cursor is of a history that was forgotten: what was stamped since may be before it
			after, from = 0, "0"
			continue
		}
		if first && after <= 0 {
			l.named = map[string]bool{}
		}
		first = false
		for i := 0; i+1 < len(p.entries); i += 2 {
			if !l.row(p.entries[i], p.entries[i+1], yield) {
				return
			}
		}
		if lacking += p.lacking; p.lacking < 0 || p.next == "" && lacking > 0 && l.named != nil {
			l.scan(ctx, yield)
			return
		}
		if p.next == "" {
			return
		}
		from = p.next
	}
}

func (l *listing) page(ctx context.Context, from string) (p page, err error) {
	rows, changes := l.store.groupKeys(l.place)
	answer, err := l.store.read(ctx, listScript, []string{l.store.counterKey(l.app), rows, changes}, []any{from, maxRows, maxBytes})
	if err != nil {
		return page{}, err
	}
	ok := len(answer) >= 3
	if ok {
		var isLast, isNext, isLacking bool
		p.last, isLast = answer[0].(int64)
		p.next, isNext = answer[1].(string)
		p.lacking, isLacking = answer[2].(int64)
		ok = isLast && isNext && isLacking
	}
	if !ok {
		return page{}, fmt.Errorf("the answer has %d parts, of other kinds than the script gives", len(answer))
	}
	for _, part := range answer[3:] {
		entry, _ := part.(string)
		p.entries = append(p.entries, entry)
	}
	return p, nil
}

func (l *listing) row(name, entry string, yield func(lease.Row, error) bool) bool {
	if l.named != nil {
		l.named[name] = true
	}
	return yield(l.store.decode(place{l.app, l.group, name}, entry), nil)
}

// scan yields the rows that did not come: somebody broke the changes, and rows that are in none must not be hidden for it.
func (l *listing) scan(ctx context.Context, yield func(lease.Row, error) bool) {
	rows, _ := l.store.groupKeys(l.place)
	if l.named == nil {
		l.named = map[string]bool{}
	}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var found []string
		var err error
		if found, cursor, err = l.store.client.HScan(ctx, rows, cursor, "", maxRows).Result(); err != nil {
			if redis.HasErrorPrefix(err, "WRONGTYPE") {
				err = fmt.Errorf("%w: both keys of the group, %q and that of its changes, hold other types than a hash and a sorted set: %w", lease.ErrRow, rows, err)
			}
			yield(lease.Row{}, l.store.fault(ctx, l.what, err))
			return
		}
		for i := 0; i+1 < len(found); i += 2 {
			if !l.named[found[i]] && !l.row(found[i], found[i+1], yield) {
				return
			}
		}
	}
}
