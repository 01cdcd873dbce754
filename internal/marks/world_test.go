package marks

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

const (
	worldRecords = 10
	worldWorkers = 3
)

// world is a shard whose records workers apply in order, each key by itself, while they are succeeded, die and lose answers, and the shard is reset. It knows nothing of how marks work: it counts.
type world struct {
	scope dedup.Scope

	seal Seal
	done map[string]Done
	dead map[[2]uint64]bool

	epoch, generation uint64
	start             uint64    // of the generation
	fates             []outcome // of the generation, by record
	letters           map[[2]uint64]bool
	workers           [worldWorkers]*worldWorker
}

// outcome counts what has become of a record in one generation.
type outcome struct{ applied, buried, redriven int }

// worldWorker is one that has, or had, the shard.
type worldWorker struct {
	mark  dedup.Mark // of its seal
	book  *Book
	low   uint64
	over  map[uint64]bool // done above low, as it knows
	again []uint64        // what it must ask for again, because it does not know what became of it
	bury  bool            // and whether it was to be buried
}

func (w *world) lane(n uint64) string { return fmt.Sprintf("key %d", n%3) }

func (w *worldWorker) of(w2 *world, n uint64) dedup.Mark {
	k := w.mark
	k.Position = place(n)
	if k.Scope == dedup.PerKey {
		k.Key, k.Alone = w2.lane(n), n%7 == 0
	}
	return k
}

// take has a worker begin anew, as a process of its own, in a new epoch, where the sink says.
func (w *world) take(t *rapid.T) {
	w.epoch++
	if w.generation == 0 || rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
		w.generation++
		w.start = rapid.Uint64Range(0, worldRecords/2).Draw(t, "start")
		w.fates = make([]outcome, worldRecords+1)
	}
	i := rapid.IntRange(0, worldWorkers-1).Draw(t, "worker")
	k := dedup.Mark{App: "app", Stream: "stream", Shard: "s", Scope: w.scope, Epoch: w.epoch, Session: fmt.Sprint(w.epoch), Generation: w.generation}
	k.Position = place(w.start)
	if !w.seal.None() && w.generation == w.seal.Generation { // the lease may stand anywhere
		k.Position = place(rapid.Uint64Range(0, worldRecords).Draw(t, "lease"))
	}
	next, anew, err := w.seal.Sealed(k, len(w.done) > 0)
	if err != nil {
		t.Fatalf("a take in epoch %d: %v", w.epoch, err)
	}
	w.seal = next
	if anew {
		clear(w.done)
	}
	low, _ := next.Low.Offset()
	is := &worldWorker{mark: k, book: new(Book), low: low, over: map[uint64]bool{}}
	is.book.Sealed(k, next, len(w.dead) > 0)
	w.workers[i] = is
}

// next are the records that a worker asks for: what it must ask for again, or the next ones whose lanes are free.
func (w *world) next(t *rapid.T, is *worldWorker) (all []uint64, bury bool) {
	if len(is.again) > 0 {
		return is.again, is.bury
	}
	left := rapid.IntRange(1, 3).Draw(t, "records")
	held := map[string]bool{}
	for n := is.low + 1; n <= worldRecords && left > 0; n++ {
		lane := is.of(w, n).Lane()
		if w.scope == dedup.PerShard {
			lane = ""
		}
		switch {
		case is.over[n] && rapid.IntRange(0, 5).Draw(t, "once more") > 0:
			continue
		case held[lane]:
			continue
		case w.scope == dedup.PerKey && rapid.IntRange(0, 2).Draw(t, "wait") == 0:
			held[lane] = true // it is slow; those of other keys go on
			continue
		}
		all = append(all, n)
		left--
	}
	return all, rapid.IntRange(0, 3).Draw(t, "bury") == 0
}

// work has a worker write, also one that was succeeded and does not know it.
func (w *world) work(t *rapid.T) {
	is := w.workers[rapid.IntRange(0, worldWorkers-1).Draw(t, "worker")]
	if is == nil {
		return
	}
	all, bury := w.next(t, is)
	if len(all) == 0 {
		return
	}
	var ms []dedup.Mark
	for _, n := range all {
		ms = append(ms, is.of(w, n))
	}
	current := is.mark.Epoch == w.epoch
	o, err := is.book.Of(ms[0], func() (Seal, error) { return w.seal, nil })
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decide(w.seal, w.done, o, ms)
	if !current {
		if err == nil {
			t.Fatalf("epoch %d writes %v after epoch %d has sealed", is.mark.Epoch, all, w.epoch)
		}
		return
	}
	if err != nil {
		t.Fatalf("epoch %d cannot write %v: %v", is.mark.Epoch, all, err)
	}
	o.Try(ms, b.Fresh)
	is.again, is.bury = all, bury
	if fate := rapid.IntRange(0, 9).Draw(t, "fate"); fate == 0 { // it was not done
		return
	} else if w.commit(is, o, all, b, bury); fate == 1 { // it was, and the answer is lost
		return
	}
	o.Moved(b.Low)
	is.again = nil
	for _, n := range all {
		is.over[n] = true
	}
	for is.over[is.low+1] {
		is.low++
	}
}

func (w *world) commit(is *worldWorker, o *Owner, all []uint64, b Batch, bury bool) {
	w.seal.Low = b.Low
	maps.Copy(w.done, b.Done)
	for _, i := range b.Fresh {
		n := all[i]
		if o.Voids() {
			maps.DeleteFunc(w.dead, func(d [2]uint64, _ bool) bool { return d[0] == n && d[1] < is.mark.Generation })
		}
		if bury {
			w.fates[n].buried++
			w.dead[[2]uint64{n, is.mark.Generation}] = true
			w.letters[[2]uint64{n, is.mark.Generation}] = true
		} else {
			w.fates[n].applied++
		}
	}
}

// advance has a worker move low to where it knows that all is done.
func (w *world) advance(t *rapid.T) {
	is := w.workers[rapid.IntRange(0, worldWorkers-1).Draw(t, "worker")]
	if is == nil {
		return
	}
	k := is.of(w, is.low)
	next, _, err := w.seal.Advanced(k)
	if is.mark.Epoch != w.epoch {
		if err == nil {
			t.Fatalf("epoch %d advances after epoch %d has sealed", is.mark.Epoch, w.epoch)
		}
		return
	}
	o, err2 := is.book.Of(k, func() (Seal, error) { return w.seal, nil })
	if err == nil {
		err = err2
	}
	if err == nil {
		err = o.Remembers(w.seal, k)
	}
	if err != nil {
		t.Fatalf("epoch %d cannot advance to %d: %v", is.mark.Epoch, is.low, err)
	}
	w.seal = next
	maps.DeleteFunc(w.done, func(_ string, d Done) bool { return !k.Position.Before(d.Position) })
	o.Advanced(k.Position)
}

// redrive has any letter redriven, of any generation, also one that was.
func (w *world) redrive(t *rapid.T) {
	if len(w.letters) == 0 {
		return
	}
	all := slices.SortedFunc(maps.Keys(w.letters), func(a, b [2]uint64) int { return int(a[0]*100+a[1]) - int(b[0]*100+b[1]) })
	d := rapid.SampledFrom(all).Draw(t, "letter")
	k := (&worldWorker{mark: dedup.Mark{Shard: "s", Scope: w.scope, Generation: d[1]}}).of(w, d[0])
	fresh, err := Redrive(w.seal, w.done[k.Lane()], w.dead[d], k)
	if err != nil {
		t.Fatalf("the redrive of %v, which was buried: %v", d, err)
	}
	if !fresh {
		return
	}
	delete(w.dead, d)
	if d[1] == w.generation {
		w.fates[d[0]].redriven++
	} else if f := w.fates[d[0]]; f.applied+f.redriven > 0 {
		t.Fatalf("the letter %v is redriven although its record was applied again in generation %d", d, w.generation)
	}
}

// check wants no record of the generation to be applied twice, and none to be below low that was not.
func (w *world) check(t *rapid.T) {
	low, _ := w.seal.Low.Offset()
	for n, f := range w.fates {
		if f.applied+f.buried > 1 || f.redriven > f.buried {
			t.Fatalf("record %d in generation %d: %+v", n, w.generation, f)
		}
		if uint64(n) > w.start && uint64(n) <= low && f.applied+f.buried == 0 {
			t.Fatalf("record %d is below low, %d, and lost", n, low)
		}
	}
	if w.scope == dedup.PerShard && len(w.done) > 0 {
		t.Fatalf("lanes %v with PerShard", w.done)
	}
}

func TestEachEffectStandsOnce(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		t.Run(scope.String(), func(t *testing.T) {
			ended := 0
			rapid.Check(t, func(t *rapid.T) {
				w := &world{scope: scope, done: map[string]Done{}, dead: map[[2]uint64]bool{}, letters: map[[2]uint64]bool{}}
				w.take(t)
				t.Repeat(map[string]func(*rapid.T){
					"take": w.take, "work": w.work, "go on": w.work, "and on": w.work, "work more": w.work, "advance": w.advance, "redrive": w.redrive, "": w.check,
				})
				if w.seal.Low == checkpoint.Offset(worldRecords) {
					ended++
				}
			})
			if ended == 0 {
				t.Error("no world has come to its end")
			}
		})
	}
}
