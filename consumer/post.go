package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/failure"
)

// letterTime is how long storing letters may take.
const letterTime = 30 * time.Second

// Attributes of letters.
const (
	recordKey  = "record.key"  // the record's own key, where it is ordered by another
	recordMark = "record.mark" // "shard", "key", "alone" or "id": the sink of the consumer has noted the record among the dead, or will; by what it tells its repeats
)

// parcel is what is to be stored together, and the records that are done with it.
type parcel struct {
	stray    bool // it has no key
	open     bool // one of them was given up, and parks the key
	ordinals []uint64
	records  []Record
	keys     []string // theirs: one, but where the shard is handled in its order
	faults   []failed
}

// post does with the records that are not for the handler any longer what Failure.Then says.
func (w *window) post(c *call) {
	for _, p := range w.parcels(c) {
		err := w.send(p)
		w.posted(c, p, err)
		c.tell()
	}
}

// parcels are a call's letters: those of one key together, in their order. Where the shard is handled in its order they go together, for the sink passes them in that.
func (w *window) parcels(c *call) []*parcel {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*parcel
	byKey := make(map[string]*parcel)
	for _, o := range c.letters {
		key, stray := w.keyOf(o), w.stray(o)
		lane := key
		if w.r.cfg().Order.By == PerShard {
			lane = ""
		}
		p := byKey[lane]
		if p == nil || stray {
			p = &parcel{stray: stray}
			all = append(all, p)
			if !stray {
				byKey[lane] = p
			}
		}
		rec, f := *w.slot(o).rec, failed{reason: failure.Reason(deadletter.Followed)}
		if known := w.failing[o]; known != nil {
			f = *known
			p.open = p.open || f.reason != failure.None
		}
		if f.reason == failure.None { // it failed, and waited to be tried again when its key was parked
			f.reason = failure.Reason(deadletter.Followed)
		}
		p.ordinals, p.records, p.keys, p.faults = append(p.ordinals, o), append(p.records, rec), append(p.keys, key), append(p.faults, f)
	}
	return all
}

// send stores a parcel.
func (w *window) send(p *parcel) error {
	cfg := w.r.cfg().Failure
	if cfg.Then == Skip {
		return nil
	}
	ls := make([]deadletter.Letter, len(p.records))
	for i, rec := range p.records {
		l, err := w.r.letter(rec, p, i)
		if err != nil {
			return err
		}
		ls[i] = l
	}
	ctx, cancel := context.WithTimeout(w.handling, letterTime)
	defer cancel()
	err := contained("Failure.Letters", func() error {
		if store := cfg.parks(); store != nil && !p.stray {
			return store.Park(ctx, ls, p.open)
		}
		return cfg.Letters.Put(ctx, ls)
	})
	if err != nil {
		return fmt.Errorf("put into Failure.Letters: %w", err)
	}
	return w.bury(ctx, p)
}

// bury has the sink pass records whose letters are stored, so that each is applied by its redrive or not at all.
func (w *window) bury(ctx context.Context, p *parcel) error {
	sink := w.r.cfg().Sink
	if sink == nil {
		return nil
	}
	ms := make([]dedup.Mark, len(p.records))
	for i, rec := range p.records {
		m := w.stamp
		m.Key, m.Alone, m.Position = p.keys[i], p.stray, rec.Position
		ms[i] = m
	}
	err := contained("Sink", func() error { return sink.Bury(ctx, ms) })
	if err == nil || w.refused(err) {
		return err
	}
	return fmt.Errorf("note in Config.Sink: %w", err)
}

// contained has a panic of a part that the user gave be an error.
func contained(part string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("consumer: Config.%s panicked: %v\n%s", part, v, debug.Stack())
		}
	}()
	return f()
}

// posted says what became of a parcel. What could not be stored waits.
func (w *window) posted(c *call, p *parcel, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped {
		return
	}
	switch {
	case err == nil:
		size := int64(0)
		for _, o := range p.ordinals {
			size += w.slot(o).page.each
			c.pages = w.done(o, c.pages)
		}
		if p.open && w.r.cfg().Failure.Then == ParkKey && !p.stray {
			note(&w.parked, p.keys[0], struct{}{})
		}
		w.givenUp += len(p.ordinals)
		w.reach(len(p.ordinals), size)
		c.told = append(c.told, func() { w.r.posted(p) })
	case errors.Is(err, deadletter.ErrNotParked):
		delete(w.parked, p.keys[0])
		for _, o := range p.ordinals {
			w.lanes.Return(o)
		}
	default:
		until := int64(time.Since(w.begun) + w.r.cfg().Failure.policy().Backoff.Delay(w.unsent+1))
		w.unsent = min(w.unsent+1, 30)
		for _, o := range p.ordinals {
			w.lanes.Back(o, until, (len(p.ordinals)+1)/2) // they may be more than the store takes at once
		}
		signal(w.changed)
		c.told = append(c.told, func() {
			w.r.failed(fmt.Errorf("consumer: %d records of shard %s from %s on cannot be given up, and wait: %w",
				len(p.records), p.records[0].Shard, p.records[0].Position, err))
		})
		return
	}
	w.unsent = 0
}

// posted tells of records that were given up.
func (r *runner) posted(p *parcel) {
	then := r.cfg().Failure.Then
	for i, rec := range p.records {
		f := p.faults[i]
		e := GivenUp{
			Shard: rec.Shard, Position: rec.Position, Key: p.keys[i], Attempts: f.attempts, Reason: deadletter.Reason(f.reason), Then: then, Err: f.err,
		}
		if then != Skip {
			e.Letter = r.letterID(rec)
		}
		r.c.givenUp(e)
	}
}

// told names by what a sink tells the repeats of a record, for letters.
func told(s dedup.Scope, alone bool) string {
	switch {
	case s == dedup.PerShard:
		return "shard"
	case s == dedup.PerID:
		return "id"
	case alone:
		return "alone"
	}
	return "key"
}

// toldBy reads what told wrote.
func toldBy(mark string) (s dedup.Scope, alone bool, err error) {
	for _, s := range []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID} {
		for _, alone := range []bool{false, true} {
			if told(s, alone) == mark {
				return s, alone, nil
			}
		}
	}
	return 0, false, fmt.Errorf("consumer: the attribute %s of the letter is %q, which this version does not know", recordMark, mark)
}

func (r *runner) scope() deadletter.Scope {
	return deadletter.Scope{App: r.cfg().Name, Stream: r.stream.Incarnation}
}

func (r *runner) letterID(rec Record) string {
	return deadletter.Letter{Scope: r.scope(), Shard: rec.Shard, Position: rec.Position, Generation: rec.Generation}.ID()
}

// letter is record i of a parcel as a letter.
func (r *runner) letter(rec Record, p *parcel, i int) (deadletter.Letter, error) {
	key, f := p.keys[i], p.faults[i]
	l := deadletter.Letter{
		Scope: r.scope(), Shard: rec.Shard, Position: rec.Position, Generation: rec.Generation, Epoch: rec.Epoch, Key: key, Arrived: rec.Arrived,
		Payload: bytes.Clone(rec.Data), Reason: deadletter.Reason(f.reason), Attempts: f.attempts, Errors: deadletter.Chain(f.err), Failed: f.last, First: f.first, Worker: r.cfg().Worker,
	}
	if rec.Key != key {
		note(&l.Attributes, recordKey, rec.Key)
	}
	if r.cfg().Sink != nil {
		note(&l.Attributes, recordMark, told(r.cfg().Order.scope(), p.stray))
	}
	if panicked, ok := errors.AsType[*PanicError](f.err); ok {
		l.Stack = string(panicked.Stack)
	}
	if codec, ok := r.source().(Codec); ok {
		b, err := codec.Encode(rec)
		if err != nil {
			return l, fmt.Errorf("encode record %s: %w", rec.Position, err)
		}
		l.Payload, l.Encoded = b, true
	}
	return l, nil
}

// loadParked learns which keys are parked, before the first record is handed out, and after the sink is sealed: a key that an earlier owner parks from then on is parked for a record which that owner cannot pass.
func (w *window) loadParked(ctx context.Context) error {
	store := w.r.cfg().Failure.parks()
	if store == nil {
		return nil
	}
	parked := make(map[string]struct{})
	for p, err := range store.Parked(ctx, w.r.scope()) {
		if err != nil {
			return fmt.Errorf("list the parked keys: %w", err)
		}
		parked[p.Key] = struct{}{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = parked
	return nil
}
