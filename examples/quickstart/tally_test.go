package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

// scene is a run whose votes are all in one shard, the n-th at position n + 1.
type scene struct {
	*testing.T

	run   *run
	votes []vote
}

func newScene(t *testing.T, records int) *scene {
	t.Helper()
	return newSceneOf(t, options{records: records})
}

// newSceneOf is a scene whose votes are in the streams that the options name.
func newSceneOf(t *testing.T, o options) *scene {
	t.Helper()
	o.dir, o.seed = t.TempDir(), 1
	r, err := resumeRun(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &scene{T: t, run: r, votes: slices.Collect(r.votes())}
}

// owner is a worker that has sealed the shard in an epoch.
func (s *scene) owner(name string, epoch uint64) *tally {
	s.Helper()
	marks := sqldedup.New(s.run.db, nil)
	if err := marks.Setup(s.Context()); err != nil {
		s.Fatal(err)
	}
	if _, err := marks.Seal(s.Context(), s.record(0, epoch).Mark()); err != nil {
		s.Fatal(err)
	}
	return &tally{db: s.run.db, marks: marks, owner: name, run: s.run.Run, decode: decodeJSON, now: time.Now}
}

func (s *scene) record(position int, epoch uint64) consumer.Record {
	return consumer.Record{Stream: "stream", Shard: "0", Position: checkpoint.Offset(uint64(position)), Epoch: epoch}
}

// batch is the records at the positions from first to last, as a shard's owner of that epoch gets them.
func (s *scene) batch(epoch uint64, first, last int) []consumer.Record {
	s.Helper()
	var batch []consumer.Record
	for p := first; p <= last; p++ {
		r := s.record(p, epoch)
		var err error
		if r.Data, err = json.Marshal(s.votes[p-1]); err != nil {
			s.Fatal(err)
		}
		batch = append(batch, r)
	}
	return batch
}

func (s *scene) apply(t *tally, rs []consumer.Record) {
	s.Helper()
	if err := t.Handle(s.Context(), rs); err != nil {
		s.Fatal(err)
	}
}

// want checks what a run has come to.
func (s *scene) want(applied, twice, redelivered int) {
	s.Helper()
	res, err := s.run.result(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if res.applied != applied || res.twice != twice || res.redelivered != redelivered {
		s.Errorf("%d applied, %d twice, %d redelivered: want %d, %d, %d", res.applied, res.twice, res.redelivered, applied, twice, redelivered)
	}
	votes := truth(slices.Values(s.votes[:applied]))
	maps.DeleteFunc(res.votes, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(res.votes, votes) {
		s.Errorf("the tally is %v, want %v", res.votes, votes)
	}
}

func TestTallyCountsInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	one := s.owner("worker-1", 1)
	for p := 1; p <= 300; p += 100 {
		s.apply(one, s.batch(1, p, p+99))
	}
	s.want(300, 0, 0)
}

// What comes again was marked, by this worker or by the one before.
func TestTallyLeavesOutRepeats(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	s.apply(s.owner("worker-1", 1), s.batch(1, 1, 200))
	two := s.owner("worker-2", 2)
	s.apply(two, s.batch(2, 51, 150)) // all of it
	s.apply(two, s.batch(2, 151, 250))
	s.apply(two, s.batch(2, 251, 300))
	s.want(300, 0, 150)
	p, err := s.run.progress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []tenure{{owner: "worker-1", applied: 200}, {owner: "worker-2", applied: 100, redelivered: 150}} {
		if got := p.tenures[i]; got.owner != want.owner || got.applied != want.applied || got.redelivered != want.redelivered {
			t.Errorf("a tenure is %+v, want %+v", got, want)
		}
	}
}

// Whoever lost the shard does nothing to the tally any more, and is not told of as if it had.
func TestTallyRefusesAnEarlierOwner(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	one := s.owner("worker-1", 1)
	s.apply(one, s.batch(1, 1, 100))
	s.apply(s.owner("worker-2", 2), s.batch(2, 101, 200))
	for name, rs := range map[string][]consumer.Record{"fresh": s.batch(1, 201, 300), "counted": s.batch(1, 1, 100)} {
		if err := one.Handle(t.Context(), rs); !errors.Is(err, dedup.ErrFenced) {
			t.Errorf("records that are %s: the answer is %v, want dedup.ErrFenced", name, err)
		}
	}
	s.want(200, 0, 0)
}

// A worker that fails between its statements leaves nothing behind, not even its tenure.
func TestTallyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	s.apply(s.owner("worker-1", 1), s.batch(1, 1, 100))
	two := s.owner("worker-2", 2)
	execute(t, s.run.db, `CREATE TRIGGER broken BEFORE INSERT ON records WHEN new.n = 150 BEGIN SELECT raise(ABORT, 'broken'); END`)
	if err := two.Handle(t.Context(), s.batch(2, 101, 200)); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the answer is %v", err)
	}
	s.want(100, 0, 0)
	if p, err := s.run.progress(t.Context()); err != nil || len(p.tenures) != 1 {
		t.Errorf("the tenures are %+v (%v), want that of worker-1 alone", p.tenures, err)
	}
	execute(t, s.run.db, `DROP TRIGGER broken`)
	s.apply(two, s.batch(2, 101, 300))
	s.want(300, 0, 0)
}

func TestTallyLeavesOtherRecordsAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	rs := s.batch(1, 1, 4)
	foreign := s.votes[1]
	foreign.Run = "another"
	var err error
	if rs[1].Data, err = json.Marshal(foreign); err != nil {
		t.Fatal(err)
	}
	rs[2].Data = rs[2].Data[:3]
	if rs[3].Data, err = json.Marshal(s.votes[1]); err != nil {
		t.Fatal(err)
	}
	s.apply(s.owner("worker-1", 1), rs)
	s.want(2, 0, 0)
	if res, err := s.run.result(t.Context()); err != nil || res.other != 2 {
		t.Errorf("%d other records (%v), want 2", res.other, err)
	}
}

func execute(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
