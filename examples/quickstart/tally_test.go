package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
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

// batch is the records at the positions from first to last, as a shard's owner of that epoch gets them.
func (s *scene) batch(epoch uint64, first, last int) []counted {
	var batch []counted
	for p := first; p <= last; p++ {
		batch = append(batch, counted{
			record: consumer.Record{Stream: "stream", Shard: "0", Position: checkpoint.Offset(uint64(p)), Epoch: epoch},
			vote:   &s.votes[p-1],
		})
	}
	return batch
}

func (s *scene) apply(t *tally, batch []counted) {
	s.Helper()
	if err := t.apply(s.Context(), batch); err != nil {
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
	one := newTally(s.run.db, "worker-1")
	for p := 1; p <= 300; p += 100 {
		s.apply(one, s.batch(1, p, p+99))
	}
	s.want(300, 0, 0)
}

// The next owner reads from a position that was stored long before the last commit.
func TestTallyLeavesOutRepeats(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	s.apply(newTally(s.run.db, "worker-1"), s.batch(1, 1, 200))
	two := newTally(s.run.db, "worker-2")
	s.apply(two, s.batch(2, 51, 150))
	s.apply(two, s.batch(2, 151, 250))
	s.apply(two, s.batch(2, 251, 300))
	s.want(300, 0, 150)
}

func TestTallyRefusesAnEarlierOwner(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	one, two := newTally(s.run.db, "worker-1"), newTally(s.run.db, "worker-2")
	s.apply(one, s.batch(1, 1, 100))
	s.apply(two, s.batch(2, 101, 200))
	for name, refused := range map[string]error{
		"an older epoch":        one.apply(t.Context(), s.batch(1, 201, 300)),
		"its epoch, once more":  one.apply(t.Context(), s.batch(2, 201, 300)),
		"an older one's repeat": one.apply(t.Context(), s.batch(1, 1, 100)),
	} {
		if !errors.Is(refused, errFenced) {
			t.Errorf("%s: the answer is %v, want errFenced", name, refused)
		}
	}
	s.want(200, 0, 0)
}

// A record behind a later one is no repeat: to leave it out would lose it.
func TestTallyRefusesDisorder(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	one := newTally(s.run.db, "worker-1")
	s.apply(one, s.batch(1, 1, 100))
	s.apply(one, s.batch(1, 151, 200))
	if err := one.apply(t.Context(), s.batch(1, 101, 150)); !errors.Is(err, errOutOfOrder) {
		t.Errorf("after a later batch: %v, want errOutOfOrder", err)
	}
	mixed := slices.Concat(s.batch(1, 251, 300), s.batch(1, 201, 250))
	if err := one.apply(t.Context(), mixed); !errors.Is(err, errOutOfOrder) {
		t.Errorf("inside a batch: %v, want errOutOfOrder", err)
	}
	res, err := s.run.result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.applied != 150 {
		t.Errorf("%d applied, want the 150 of the batches that were taken", res.applied)
	}
}

// A commit whose answer was lost has happened, or not: the same owner gets its records once more, and the database knows.
func TestTallySettlesALostAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	one := newTally(s.run.db, "worker-1")
	at := place{"stream", "0", 1}
	s.apply(one, s.batch(1, 1, 100))
	one.suspect(at, s.batch(1, 100, 100)[0].record.Position.Sort())
	s.apply(one, s.batch(1, 1, 100))
	s.want(100, 0, 100)

	one.suspect(at, s.batch(1, 200, 200)[0].record.Position.Sort()) // this one did not happen
	s.apply(one, s.batch(1, 101, 200))
	s.want(200, 0, 100)
}

// A worker that dies between its statements leaves nothing behind, not even its seal.
func TestTallyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, 300)
	s.apply(newTally(s.run.db, "worker-1"), s.batch(1, 1, 100))
	tx, err := s.run.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := newTally(s.run.db, "worker-2").write(t.Context(), tx, place{"stream", "0", 2}, s.batch(2, 101, 200)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	s.want(100, 0, 0)
	s.apply(newTally(s.run.db, "worker-3"), s.batch(3, 101, 300))
	s.want(300, 0, 0)
}

// A shard changes hands at random, with crashes between the commit and the stored position, crashes inside transactions, and owners that go on after they
// were replaced.
func TestTallyUnderCrashes(t *testing.T) {
	t.Parallel()
	const records = 1_500
	s := newScene(t, records)
	chance := rand.New(rand.NewPCG(1, 2))
	owners := []*tally{newTally(s.run.db, "worker-1")}
	stored, epoch := 0, uint64(1)
	for at := stored; at < records; {
		owner := owners[len(owners)-1]
		last := min(records, at+1+chance.IntN(60))
		switch chance.IntN(6) {
		case 0: // killed inside the transaction
			ctx, kill := context.WithCancel(t.Context())
			kill()
			if err := owner.apply(ctx, s.batch(epoch, at+1, last)); err == nil {
				t.Fatal("a transaction succeeded without a context")
			}
			fallthrough
		case 1: // another worker begins where the lease says
			epoch++
			owners = append(owners, newTally(s.run.db, "worker-"+strconv.FormatUint(epoch, 10)))
			at = stored
		case 2: // an earlier owner does not know yet
			if len(owners) < 2 {
				continue
			}
			zombie := 1 + chance.IntN(len(owners)-1)
			err := owners[zombie-1].apply(t.Context(), s.batch(uint64(zombie), at+1, last))
			switch {
			case err == nil: // its successor has not handled anything yet
			case !errors.Is(err, errFenced) && !errors.Is(err, errOutOfOrder):
				t.Fatal(err)
			}
		default:
			s.apply(owner, s.batch(epoch, at+1, last))
			at = last
			if chance.IntN(3) == 0 {
				stored = at
			}
		}
	}
	res, err := s.run.result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := res.verdict(); err != nil {
		t.Errorf("%v: %s", err, res.line())
	}
	if res.redelivered == 0 {
		t.Error("nothing was redelivered: the test tests nothing")
	}
}

func TestHandlerLeavesOtherRecordsAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	foreign := s.votes[1]
	foreign.Run = "another"
	var rs []consumer.Record
	for i, v := range []any{s.votes[0], foreign, "text", s.votes[1]} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, consumer.Record{Stream: "stream", Shard: "0", Position: checkpoint.Offset(uint64(i + 1)), Epoch: 1, Data: data})
	}
	rs[2].Data = rs[2].Data[:3]
	if err := newTally(s.run.db, "worker-1").handler(s.run.Run, decodeJSON).Handle(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	s.want(2, 0, 0)
	if res, err := s.run.result(t.Context()); err != nil || res.other != 2 {
		t.Errorf("%d other records (%v), want 2", res.other, err)
	}
}
