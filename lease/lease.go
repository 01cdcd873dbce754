package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/planted"
)

// Lease is the right to work on one shard in one epoch. It ends with [Lease.Release], with [Lease.End], or when it is lost; then the
// context of the shard's work ends with a cause that wraps [ErrLost]. A lease that has ended stays so: who wants the shard again takes it in a
// new epoch.
type Lease struct {
	shard    Shard
	start    checkpoint.Start
	origin   checkpoint.Start
	ahead    checkpoint.Ahead
	holder   holder
	session  *session
	keys     keys
	byWeight bool
	learn    func(shardRow) // tells the worker what was stored

	draining  chan struct{}
	drainOnce sync.Once
	next      string        // the session for which the shard is wanted back; set before draining is closed
	lost      chan struct{} // closed before end is called
	end       context.CancelCauseFunc
	over      atomic.Bool // released, ended or lost: nothing may be dispatched any longer

	brought atomic.Int64 // bytes that Weigh was told of since they were last measured

	mu       sync.Mutex
	row      shardRow // as last known to be stored
	cause    error    // why it was lost
	meter    meter
	measured time.Duration // when, on the monotonic clock
}

// newLease makes the lease of a row that was just taken. end ends the context of its work.
func newLease(row shardRow, s *session, k keys, byWeight bool, learn func(shardRow), end context.CancelCauseFunc) *Lease {
	return &Lease{
		shard: Shard{ID: row.ID, Parents: row.Parents, Closed: row.Closed, Meta: row.Meta},
		start: startIn(row), origin: row.Start, ahead: row.Ahead, holder: holder{s.name, row.Epoch, row.Generation},
		session: s, keys: k, byWeight: byWeight, learn: learn,
		draining: make(chan struct{}), lost: make(chan struct{}), end: end, row: row, measured: s.clock.mono(),
	}
}

// startIn is where the work on a row that was taken begins.
func startIn(row shardRow) checkpoint.Start {
	if planted.Is(planted.TakePosition) {
		return row.Start
	}
	return row.begin()
}

// Shard is what is worked on. Closed is as it was when the shard was found.
func (l *Lease) Shard() Shard { return l.shard }

// Epoch rises each time the shard is taken, and from a shard to its descendants.
func (l *Lease) Epoch() uint64 { return l.holder.epoch }

// Generation rises each time the shard is reset to be processed again.
func (l *Lease) Generation() uint64 { return l.holder.generation }

// Session names the start of the process that has the lease.
func (l *Lease) Session() string { return l.holder.session }

// Start is where to begin: after the position that the taking write carried, or where the shard starts.
func (l *Lease) Start() checkpoint.Start { return l.start }

// Origin is where the shard begins if nothing of it is processed, whatever the position.
func (l *Lease) Origin() checkpoint.Start { return l.origin }

// Ahead is what is done behind the position of [Lease.Start], as the taking write carried it. It holds only if the first record read is the one that it names as
// its first.
func (l *Lease) Ahead() checkpoint.Ahead { return l.ahead }

// Position is the last position known to be stored.
func (l *Lease) Position() checkpoint.Position { return l.stored().Position }

// Valid tells whether the owner may dispatch, apply or checkpoint now. It does no I/O; ask before each dispatch. Once false it
// stays false, and the context of the shard's work ends.
func (l *Lease) Valid() bool { return !l.over.Load() && l.timely() }

// ValidAt is Valid for who has just looked at the clock, and does not want to do so twice for each record: now is what time.Now gave a moment ago. Any other
// instant gives a wrong answer, and one that has not come yet ends the lease.
func (l *Lease) ValidAt(now time.Time) bool {
	return !l.over.Load() && l.timelyAt(l.session.clock.At(now))
}

// Draining is closed when the shard is wanted back: stop dispatching, finish what is in flight, Release.
func (l *Lease) Draining() <-chan struct{} { return l.draining }

// Checkpoint stores p, and what is done behind it, in one write, retrying until it is stored, ctx ends or the lease is lost ([ErrLost]). Calls for one lease must not overlap. A position
// below the stored one is an error ([ErrPosition]) and is not stored. Nothing is written if both are stored already.
func (l *Lease) Checkpoint(ctx context.Context, p checkpoint.Position, ahead checkpoint.Ahead) error {
	if !l.Valid() {
		return l.failed("checkpoint", ErrLost)
	}
	done := progress{p, ahead}
	if row := l.stored(); done == row.progress() {
		return nil
	}
	weight, news := l.weight()
	return l.write(ctx, "checkpoint", l.Valid, news,
		func(r shardRow) (shardRow, error) {
			r, err := checkpointed(r, l.holder, done)
			r.Rate = weight
			return r, err
		},
		func(r shardRow) bool { return l.holder.holds(r) && done.storedIn(r) })
}

// Weigh tells how many bytes the shard brought, for [Config].ByWeight. It does no I/O.
func (l *Lease) Weigh(bytes int64) { l.brought.Add(bytes) }

// weight is what the row shall say of the shard's weight, and whether it does not yet.
func (l *Lease) weight() (weight uint64, news bool) {
	if !l.byWeight {
		return l.stored().Rate, false
	}
	now := l.session.clock.mono()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meter.add(uint64(max(0, l.brought.Swap(0))), now-l.measured)
	l.measured = now
	weight = l.meter.weight(l.row.Rate)
	return weight, weight != l.row.Rate
}

// reweighed is the row with the weight of a shard that stores it by no checkpoint, for it brings next to nothing any longer, and false if there is nothing to
// store, or nothing may be.
func (l *Lease) reweighed() (r shardRow, news bool) {
	weight, news := l.weight()
	r = l.stored()
	r.Rate = weight
	return r, news && l.Valid() && l.holder.holds(r)
}

// Release stores p, and what is done behind it, and gives the shard up, in one write. After the call, whatever it returned, this epoch is over. A position below the stored one is an
// error ([ErrPosition]): the shard is given up at the stored one, with what is stored behind that.
func (l *Lease) Release(ctx context.Context, p checkpoint.Position, ahead checkpoint.Ahead) error {
	if !l.finish() {
		return l.failed("release", ErrLost)
	}
	done := progress{p, ahead}
	var backwards error
	if row := l.stored(); p.Before(row.Position) {
		_, backwards = checkpointed(row, l.holder, done)
		done = row.progress()
	}
	err := l.write(ctx, "release", l.mine, true,
		func(r shardRow) (shardRow, error) { return released(r, l.holder, done, l.successor()) },
		func(r shardRow) bool { return settled(r, l.holder, done) })
	if backwards != nil {
		err = errors.Join(l.failed("release", backwards), err)
	}
	return err
}

// Lift gives the shard up at the stored position, as [Lease.Release] does, and has its next epoch be above epoch and its generation no lower than generation, in one write: for an owner
// whose sink knows higher ones than the lease, as after a lease table was restored from a backup. Who is not the owner any longer changes nothing: [ErrLost].
func (l *Lease) Lift(ctx context.Context, epoch, generation uint64) error {
	if !l.finish() {
		return l.failed("lift", ErrLost)
	}
	return l.write(ctx, "lift", l.mine, true,
		func(r shardRow) (shardRow, error) { return lifted(r, l.holder, epoch, generation, l.successor()) },
		func(r shardRow) bool {
			return r.version != 0 && !l.holder.holds(r) && r.Epoch >= max(epoch, l.holder.epoch)
		})
}

// End creates the leases of the children, then marks the shard as ended at p. After the write of END was sent, whatever the answer, this epoch is over;
// an error before that leaves the lease as it was. No children is no error: the next listing finds them.
func (l *Lease) End(ctx context.Context, p checkpoint.Position, children []Shard) error {
	if !l.Valid() {
		return l.failed("end", ErrLost)
	}
	if _, err := checkpointed(l.stored(), l.holder, progress{at: p}); err != nil {
		return l.failed("end", err)
	}
	ids, rows, err := l.bear(ctx, children)
	if err != nil {
		return l.failed("end", err)
	}
	if _, err := finished(l.stored(), l.holder, p, ids, rows); err != nil {
		return l.failed("end", err)
	}
	if !l.finish() {
		return l.failed("end", ErrLost)
	}
	return l.write(ctx, "end", l.mine, true,
		func(r shardRow) (shardRow, error) { return finished(r, l.holder, p, ids, rows) },
		func(r shardRow) bool { return r.State == ended && settled(r, l.holder, progress{at: p}) })
}

// finish ends the epoch for its owner, and tells whether it had not ended before.
func (l *Lease) finish() bool {
	if planted.Is(planted.OnAfterRelease) {
		return l.Valid()
	}
	return l.Valid() && !l.over.Swap(true)
}

// lose ends the epoch because another worker owns the shard, or may.
func (l *Lease) lose(why error) {
	cause := fmt.Errorf("%w: shard %s, epoch %d: %w", ErrLost, l.shard.ID, l.holder.epoch, why)
	l.mu.Lock()
	first := l.cause == nil
	if first {
		l.cause = cause
	}
	l.mu.Unlock()
	l.over.Store(true)
	if first {
		close(l.lost)
		l.end(cause)
	}
}

// timely tells whether the session is valid; if it is not, the lease is lost.
func (l *Lease) timely() bool { return l.timelyAt(l.session.clock.Now()) }

// mine tells whether the shard may be this lease's: the session is valid, and nobody was seen to have it.
func (l *Lease) mine() bool { return !closed(l.lost) && l.timely() }

func (l *Lease) timelyAt(now instant) bool {
	if l.session.validAt(now) {
		return true
	}
	l.lose(errLapsed)
	return false
}

func (l *Lease) drain(next string) {
	l.drainOnce.Do(func() {
		l.next = next
		close(l.draining)
	})
}

// successor is the session to which a release hands the shard, "" if there is none by name.
func (l *Lease) successor() string {
	if closed(l.draining) {
		return l.next
	}
	return ""
}

func (l *Lease) stored() shardRow {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.row
}

func (l *Lease) store(r shardRow) {
	l.mu.Lock()
	l.row = r
	l.mu.Unlock()
}

// voluntary tells whether work that has returned did so without a reason: the lease was neither wanted back, nor lost, nor did the shard end.
func (l *Lease) voluntary() bool {
	return !closed(l.draining) && !closed(l.lost) && l.stored().State != ended
}

// failed names the shard and the operation.
func (l *Lease) failed(op string, err error) error {
	l.mu.Lock()
	cause := l.cause
	l.mu.Unlock()
	if errors.Is(err, ErrLost) && cause != nil {
		err = cause
	}
	return fmt.Errorf("lease: %s shard %s in epoch %d: %w", op, l.shard.ID, l.holder.epoch, err)
}

func (l *Lease) retries() backoff.Policy {
	return backoff.Policy{Base: l.session.timing.Request / 40, Cap: l.session.timing.Request / 2}
}

// write stores what step makes of the row, until an answer says that it is stored, or done says so of a read that was sent after a write. It sends nothing
// that may not be sent: that is asked before each sending.
func (l *Lease) write(
	ctx context.Context, op string, may func() bool, listed bool, step func(shardRow) (shardRow, error), done func(shardRow) bool,
) error {
	for fails := 1; ; fails++ {
		next, err := step(l.stored())
		if err != nil {
			return l.failed(op, err)
		}
		if !may() {
			return l.failed(op, ErrLost)
		}
		if listed && fails == 1 { // what failed once goes alone: it would have others wait for it again
			if err = l.session.out.send(ctx, next.row(listed), may); errors.Is(err, ErrLost) {
				return l.failed(op, ErrLost)
			}
		} else {
			err = l.session.req.put(ctx, next.row(listed))[0]
		}
		if err == nil || planted.Is(planted.AnswerLost) && errors.Is(err, errSlow) {
			next.version++
			l.keep(next, listed)
			return nil
		}
		if !may() {
			return l.failed(op, ErrLost) // it is another's, or about to be, whatever became of the write
		}
		now, readErr := l.read(ctx)
		switch {
		case errors.Is(readErr, ErrRow):
			l.lose(readErr)
			return l.failed(op, ErrLost)
		case readErr != nil:
			err = errors.Join(err, readErr)
		case done(now):
			l.keep(now, listed)
			return nil
		case !l.holder.holds(now):
			l.lose(fmt.Errorf("the row says owner %q, epoch %d, generation %d, %s", now.Owner, now.Epoch, now.Generation, now.State))
			return l.failed(op, ErrLost)
		default:
			l.store(now)
			if fails == 1 && errors.Is(err, ErrConflict) {
				continue // another changed what is not the owner's, or an earlier write came late
			}
		}
		if waitErr := l.pause(ctx, fails); waitErr != nil {
			return l.failed(op, errors.Join(waitErr, err))
		}
		l.session.report(l.failed(op, err))
	}
}

// keep notes what is stored; the worker hears of it if others shall.
func (l *Lease) keep(r shardRow, listed bool) {
	l.store(r)
	if listed {
		l.learn(r)
	}
}

// read reads the row consistently.
func (l *Lease) read(ctx context.Context) (shardRow, error) {
	key := l.stored().key
	rows, err := l.session.req.get(ctx, key)
	if err != nil {
		return shardRow{}, err
	}
	if rows[key].Version == 0 {
		return shardRow{}, nil
	}
	return decodeShard(rows[key])
}

// pause waits after the n-th failure in a row. The end of ctx is its cause; a lease that is lost meanwhile is ErrLost.
func (l *Lease) pause(ctx context.Context, fails int) error {
	c := l.session.clock
	if err := c.Wait(ctx, c.delay(l.retries(), fails), l.lost); err != nil {
		return err
	}
	if closed(l.lost) {
		return ErrLost
	}
	return nil
}
