package leasetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// promptly is how soon a method returns when its context is over.
const promptly = 10 * time.Second

// inTime calls f and wants it back promptly.
func (s *scene) inTime(what string, f func() error) error {
	s.Helper()
	begun := time.Now()
	err := f()
	if took := time.Since(begun); took > promptly {
		s.Errorf("%s under a context that is over took %v; want less than %v", what, took, promptly)
	}
	return err
}

// readsAreConsistent has readers look at a row while it is written: each sees what was acknowledged before its read.
func readsAreConsistent(s *scene) {
	s.ready()
	key := s.key("a/row")
	var acknowledged, ended atomic.Uint64
	var behind [2]string
	var wg sync.WaitGroup
	for i := range behind {
		wg.Go(func() {
			for ended.Load() == 0 && behind[i] == "" {
				least := acknowledged.Load()
				rows, err := s.store.Get(s.Context(), []string{key})
				if err != nil || len(rows) != 1 || rows[0].Version < least {
					behind[i] = fmt.Sprintf("%v, %v; want one row of version %d or higher", rows, err, least)
				}
			}
		})
	}
	var errs []error
	for version := uint64(0); version < rounds && errs == nil; version++ {
		if errs = s.store.Put(s.Context(), []lease.Row{s.row("a/row", version)}); errs == nil {
			acknowledged.Store(version + 1)
		}
	}
	ended.Store(1)
	wg.Wait()
	if errs != nil {
		s.Fatalf("Put while others read: %v", errs)
	}
	for _, text := range behind {
		if text != "" {
			s.Fatalf("Get while another writes: %s", text)
		}
	}
	s.holds(s.row("a/row", rounds-1), rounds)
}

func readOrder(s *scene) {
	s.ready()
	rows := s.numbered("a/", 3)
	s.put(rows...)
	upper := s.row("A/000", 0) // keys differ by case
	s.put(upper)
	keys := []string{rows[2].Key, s.key("a/absent"), rows[0].Key, rows[2].Key, upper.Key, s.key("b/000"), rows[1].Key, s.key("a/absent")}
	var versions []uint64
	for _, row := range s.get(keys...) {
		versions = append(versions, row.Version)
	}
	if want := []uint64{1, 0, 1, 1, 1, 0, 1, 0}; !slices.Equal(versions, want) {
		s.Fatalf("Get of %q: versions %v; want %v", keys, versions, want)
	}
	for _, row := range append(rows, upper) {
		s.holds(row, 1)
	}
}

// readMany reads more rows than one request of any service carries, every other one absent.
func readMany(s *scene) {
	s.ready()
	rows := s.numbered("a/", 125)
	s.put(rows...)
	var keys []string
	for _, row := range rows {
		keys = append(keys, row.Key, row.Key+"-absent")
	}
	for i, row := range s.get(keys...) {
		switch {
		case i%2 == 1 && row.Version != 0:
			s.Fatalf("%s has version %d; want no row, version 0", row.Key, row.Version)
		case i%2 == 0 && (row.Version != 1 || string(row.Value) != string(rows[i/2].Value)):
			s.Fatalf("%s has version %d and value %s; want 1 and %s", row.Key, row.Version, brief(row.Value), brief(rows[i/2].Value))
		}
	}
}

func valuesAreExact(s *scene) {
	s.ready()
	for i, value := range []string{
		`{}`,
		`""`,
		`{ "b" : 1.0,  "a":[ 1e2, 12345678901234567890123, -0 ],"b":null }`, // a JSON type of a database would rewrite it
		`"\u0000 \ud83d\ude00 \u00e9 \/ \" \\ <>&"`,
		`"é é 日本語 😀 ` + "\u2028\u2029\ufeff\u007f" + `"`,
		`"%s %d ' ; -- $1 ? :v {{.}} \n"`,
		"\n\t{\r\n\"a\" : true}\n ",
	} {
		row := lease.Row{Key: s.key(fmt.Sprintf("a/%d", i)), Value: []byte(value)}
		s.put(row)
		s.holds(row, 1)
		row.Version = 1
		row.Value = []byte(`{"short":1}`)
		s.put(row)
		s.holds(row, 2)
	}
	odd := s.row("größe %_*[a]'é日本😀/shardId-000000000000:1 ~é", 0)
	s.put(odd)
	s.holds(odd, 1)
	s.lists(s.key("größe %_*[a]'é日本😀/"), odd.Key)
}

func valuesAreOwned(s *scene) {
	s.ready()
	row := s.row("a/row", 0)
	written := row
	written.Value = bytes.Clone(row.Value)
	s.put(written)
	scribble := func(b []byte) {
		for i := range b {
			b[i] = '#'
		}
	}
	scribble(written.Value)
	scribble(s.holds(row, 1).Value)
	s.holds(row, 1)
	twice := s.get(row.Key, row.Key)
	scribble(twice[0].Value)
	if string(twice[1].Value) != string(row.Value) {
		s.Fatalf("a key that is asked for twice has one buffer for both answers")
	}
	for _, listed := range s.list(s.key("a/"), "") {
		scribble(listed.Value)
	}
	s.holds(row, 1)
}

// largeValues writes, reads and lists more than one answer of DynamoDB or one page of a listing carries.
func largeValues(s *scene) {
	s.ready()
	rows := s.numbered("a/", 8)
	for i := range rows {
		rows[i].Value = []byte(`"` + strings.Repeat(string(rune('a'+i)), 300*1024) + `"`)
	}
	s.put(rows...)
	for i, row := range s.get(keysOf(rows)...) {
		if row.Version != 1 || string(row.Value) != string(rows[i].Value) {
			s.Fatalf("%s has version %d and value %s; want 1 and %s", row.Key, row.Version, brief(row.Value), brief(rows[i].Value))
		}
	}
	s.lists(s.key("a/"), keysOf(rows)...)
}
