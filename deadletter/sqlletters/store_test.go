package sqlletters_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
)

var scope = deadletter.Scope{App: "billing", Stream: "orders"}

func letter(key string, n uint64) deadletter.Letter {
	return deadletter.Letter{Scope: scope, Shard: "shard-0", Position: checkpoint.Offset(n), Key: key, Payload: fmt.Appendf(nil, "%s %d", key, n)}
}

func one(key string, n uint64) []deadletter.Letter { return []deadletter.Letter{letter(key, n)} }

func claimOf(key string) deadletter.Claim {
	return deadletter.Claim{Scope: scope, Key: key, Token: "token"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// payloads are those of a query, in its order.
func payloads(t *testing.T, s deadletter.Store, q deadletter.Query) string {
	t.Helper()
	q.Scope = scope
	var all []string
	for l, err := range s.Read(t.Context(), q) {
		must(t, err)
		all = append(all, string(l.Payload))
	}
	return strings.Join(all, ", ")
}

func parked(t *testing.T, s deadletter.Store) (all []deadletter.Parking) {
	t.Helper()
	for p, err := range s.Parked(t.Context(), scope) {
		must(t, err)
		all = append(all, p)
	}
	return all
}

// What others' locks keep from being done, at whatever statement, is done again and once.
func TestWhatOthersCauseIsTriedAgain(t *testing.T) {
	for _, statement := range []string{"PRAGMA", "BEGIN", "INSERT INTO main.\"runnel_letters_keys\"", "INSERT INTO main.\"runnel_letters\"", "UPDATE", "COMMIT", "SELECT"} {
		t.Run(statement, func(t *testing.T) {
			file := newFile(t)
			newStore(t, file)
			tp, db := tapped(t, file)
			s := sqlletters.New(db, nil)
			tp.set(once(statement, coded(5)), nil)
			must(t, s.Park(t.Context(), append(one("a", 1), letter("a", 2)), true))
			must(t, s.Claim(t.Context(), claimOf("a"), time.Minute))
			if got := payloads(t, s, deadletter.Query{}); got != "a 1, a 2" {
				t.Errorf("letters %s", got)
			}
		})
	}
}

// Any other error leaves nothing behind, and calling again does what was asked.
func TestAFailedCallLeavesNothing(t *testing.T) {
	for _, statement := range []string{"BEGIN", "INSERT INTO main.\"runnel_letters_keys\"", "INSERT INTO main.\"runnel_letters\"", "UPDATE", "COMMIT"} {
		t.Run(statement, func(t *testing.T) {
			file := newFile(t)
			other, _ := newStore(t, file)
			tp, db := tapped(t, file)
			s := sqlletters.New(db, nil)
			tp.set(once(statement, io.ErrUnexpectedEOF), nil)
			if err := s.Park(t.Context(), one("a", 1), true); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, deadletter.ErrNotParked) {
				t.Fatalf("%v; want the error of the connection", err)
			}
			if got := payloads(t, other, deadletter.Query{}); got != "" || len(parked(t, other)) > 0 {
				t.Errorf("letters %s and keys %v are left", got, parked(t, other))
			}
			must(t, s.Park(t.Context(), one("a", 1), true))
			if got := parked(t, other); len(got) != 1 || got[0].Letters != 1 {
				t.Errorf("parked %v; want one key with a letter", got)
			}
		})
	}
}

// Whoever does not hear the answer of a COMMIT calls again.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	file := newFile(t)
	newStore(t, file)
	tp, db := tapped(t, file)
	s := sqlletters.New(db, nil)
	lose := func(what string, f func() error) {
		t.Helper()
		tp.set(nil, once("COMMIT", io.ErrUnexpectedEOF))
		if err := f(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%s: %v; want the error of the connection", what, err)
		}
	}
	ctx := t.Context()
	twice := func(what string, f func() error) {
		t.Helper()
		lose(what, f)
		if err := f(); err != nil {
			t.Fatalf("%s again: %v", what, err)
		}
	}
	twice("Put", func() error { return s.Put(ctx, one("a", 1)) })
	twice("Park that opens", func() error { return s.Park(ctx, one("a", 2), true) })
	twice("Park that appends", func() error { return s.Park(ctx, one("a", 3), false) })
	twice("Claim", func() error { return s.Claim(ctx, claimOf("a"), time.Minute) })
	if got := payloads(t, s, deadletter.Query{}); got != "a 1, a 2, a 3" {
		t.Errorf("letters %s", got)
	}
	l := letter("a", 1)
	settle := func() error { return s.Settle(ctx, claimOf("a"), l.ID(), nil) }
	lose("Settle", settle)
	if err := settle(); !errors.Is(err, deadletter.ErrNoLetter) {
		t.Errorf("Settle again: %v; want ErrNoLetter, for it is settled", err)
	}
	twice("Claim that gives back", func() error { return s.Claim(ctx, claimOf("a"), 0) })
}

// A caller may work on a letter with the only connection of the pool, also between large ones.
func TestReadHoldsNoConnection(t *testing.T) {
	s, db := newStore(t, newFile(t))
	db.SetMaxOpenConns(1)
	ls := make([]deadletter.Letter, 120)
	for i := range ls {
		ls[i] = letter("a", uint64(i)) //nolint:gosec // small
		if i%3 == 0 {
			ls[i].Payload = bytes.Repeat([]byte{byte(i)}, 64<<10+i)
		}
	}
	must(t, s.Put(t.Context(), ls))
	must(t, s.Claim(t.Context(), claimOf("a"), time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := 0
	for l, err := range s.Read(ctx, deadletter.Query{Scope: scope}) {
		must(t, err)
		if !bytes.Equal(l.Payload, ls[n].Payload) {
			t.Fatalf("letter %d has a payload of %d bytes; want %d", n, len(l.Payload), len(ls[n].Payload))
		}
		must(t, s.Settle(ctx, claimOf("a"), l.ID(), nil))
		n++
	}
	if n != len(ls) {
		t.Errorf("%d letters were read; want %d", n, len(ls))
	}
}

// A large letter that is settled while its page is being read is none, and takes nobody else's place.
func TestALetterThatIsSettledMeanwhileIsNotRead(t *testing.T) {
	s, _ := newStore(t, newFile(t))
	large := bytes.Repeat([]byte("x"), 100<<10)
	second := letter("a", 2)
	second.Payload = large
	must(t, s.Put(t.Context(), []deadletter.Letter{letter("a", 1), second, letter("a", 3)}))
	must(t, s.Claim(t.Context(), claimOf("a"), time.Minute))
	var got []string
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: scope, Limit: 2}) {
		must(t, err)
		if got = append(got, string(l.Payload)); len(got) == 1 {
			must(t, s.Settle(t.Context(), claimOf("a"), second.ID(), nil))
		}
	}
	if fmt.Sprint(got) != "[a 1 a 3]" {
		t.Errorf("read %.100q", got)
	}
}

func TestLongNamesAreToldApart(t *testing.T) {
	s, _ := newStore(t, newFile(t))
	begin := strings.Repeat("k", 600)
	for i, key := range []string{begin + "1", begin + "2", begin[:512], begin[:511]} {
		l := letter(key, 1)
		l.Payload = fmt.Append(nil, i)
		l.Shard = key
		must(t, s.Park(t.Context(), []deadletter.Letter{l}, true))
		must(t, s.Park(t.Context(), []deadletter.Letter{l}, false))
		if got := payloads(t, s, deadletter.Query{Key: key}); got != fmt.Sprint(i) {
			t.Errorf("letters %s of a key of %d bytes; want %d", got, len(key), i)
		}
		if got := payloads(t, s, deadletter.Query{ID: l.ID()}); got != fmt.Sprint(i) {
			t.Errorf("letters %s of an ID of %d bytes; want %d", got, len(l.ID()), i)
		}
	}
	if n := len(parked(t, s)); n != 4 {
		t.Errorf("%d keys are parked; want 4", n)
	}
}

// Nothing is left of a key whose letters are settled, whether its claim was given back or nothing was claimed.
func TestNothingIsLeftOfAnEmptyKey(t *testing.T) {
	s, db := newStore(t, newFile(t))
	ctx := t.Context()
	must(t, s.Park(ctx, one("a", 1), true))
	must(t, s.Claim(ctx, claimOf("a"), time.Minute))
	l := letter("a", 1)
	must(t, s.Settle(ctx, claimOf("a"), l.ID(), nil))
	must(t, s.Claim(ctx, claimOf("a"), 0))
	must(t, s.Claim(ctx, claimOf("none"), 0))
	must(t, s.Put(ctx, one("b", 1)))
	moved := letter("b", 1)
	moved.Key = "elsewhere" // its ID is there
	must(t, s.Put(ctx, []deadletter.Letter{moved}))
	must(t, s.Park(ctx, []deadletter.Letter{moved}, true))
	if got := ask[string](t, db, `SELECT group_concat(key) FROM runnel_letters_keys`); got != "b" {
		t.Errorf("rows of the keys %s; want b's, which has a letter", got)
	}
}

func TestNothingComesAfterTheHighestNumber(t *testing.T) {
	s, _ := newStore(t, newFile(t))
	must(t, s.Put(t.Context(), one("a", 1)))
	if got := payloads(t, s, deadletter.Query{After: math.MaxUint64}); got != "" {
		t.Errorf("letters %s", got)
	}
}

// An operator reads the letters with the shell of the database.
func TestLettersAreReadByPeople(t *testing.T) {
	s, db := newStore(t, newFile(t))
	l := letter("<é>\xff\x00%", 7)
	l.Errors = []string{"insert: disk full"}
	must(t, s.Park(t.Context(), []deadletter.Letter{l}, true))
	for query, want := range map[string]string{
		`SELECT letter ->> 'key' || ' ' || (letter ->> 'position') || ' ' || (letter -> 'errors' ->> 0) FROM runnel_letters`: "<é>%FF%00%25 7 insert: disk full",
		`SELECT key FROM runnel_letters_keys WHERE parked > 0`:                                                               "<é>%FF%00%25",
	} {
		if got := ask[string](t, db, query); got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
	}
}

func TestABrokenRowIsAnErrorThatNamesIt(t *testing.T) {
	for _, column := range []string{"letter", "history"} {
		s, db := newStore(t, newFile(t))
		must(t, s.Put(t.Context(), one("a", 1)))
		execute(t, db, `UPDATE runnel_letters SET `+column+` = '{'`)
		for _, err := range s.Read(t.Context(), deadletter.Query{Scope: scope}) {
			if err == nil || !strings.Contains(err.Error(), "column "+column+" of the row 1") {
				t.Errorf("%v; want one that names the column %s of row 1", err, column)
			}
		}
	}
}

func TestAClaimNeedsAToken(t *testing.T) {
	s, _ := newStore(t, newFile(t))
	if err := s.Claim(t.Context(), deadletter.Claim{Scope: scope, Key: "a"}, time.Minute); err == nil {
		t.Error("a claim without a token was given")
	}
	must(t, s.Put(t.Context(), one("a", 1)))
	l := letter("a", 1)
	if err := s.Settle(t.Context(), deadletter.Claim{Scope: scope, Key: "a"}, l.ID(), nil); !errors.Is(err, deadletter.ErrNotClaimed) {
		t.Errorf("%v; want ErrNotClaimed", err)
	}
}
