package consumer

import (
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

// Hooks are told what happens. Each may be nil. They are called from many goroutines, on the way of the records: they must
// be quick. A hook that panics is logged and otherwise ignored.
type Hooks struct {
	Assigned     func(Assigned)
	Resumed      func(Resumed)
	Lost         func(Lost)
	Page         func(PageRead)
	Handled      func(Handled)
	Retried      func(Retried)
	GivenUp      func(GivenUp)
	Full         func(Full)
	Overdue      func(Overdue)
	Checkpointed func(Checkpointed)
	Gap          func(Gap)
	Error        func(Failed)
}

// Assigned says that this worker began to work on a shard.
type Assigned struct {
	Shard string
	Epoch uint64
	Start checkpoint.Start // where it begins
}

// Resumed says that the sink of a shard stands elsewhere than its lease, and that the shard is read from where the sink stands. The sink is ahead after a crash: what it holds was not yet stored with
// the lease. It is behind if it has lost what it held, as after a fail-over: what is missing is applied again.
type Resumed struct {
	Shard       string
	Epoch       uint64
	Lease, Sink checkpoint.Position
}

// Lost says that this worker no longer works on a shard.
type Lost struct {
	Shard    string
	Epoch    uint64
	Position checkpoint.Position // up to here the shard was handled by this worker
	Reason   Reason
	Err      error // why, unless the shard was released or ended cleanly
}

// Reason is why a worker no longer works on a shard.
type Reason string

// The reasons of [Lost].
const (
	ReasonReleased  Reason = "released"  // drained and given up, with its last position
	ReasonEnded     Reason = "ended"     // read to its end
	ReasonLost      Reason = "lost"      // taken by another worker, or this one cannot know
	ReasonStuck     Reason = "stuck"     // by the watchdog: one call took too long, and returned when its context ended; given up, with its last position
	ReasonRefused   Reason = "refused"   // the sink knows a higher epoch than the lease, or has forgotten this one: given up, to be taken in a higher epoch
	ReasonAbandoned Reason = "abandoned" // a handler ignored the end of its context: the shard is freed when the session expires
)

// PageRead says that a page came from the source.
type PageRead struct {
	Shard   string
	Records int
	Bytes   int64
	Behind  time.Duration // how far behind the newest record; negative: unknown
	End     bool          // the last page of the shard
}

// Handled says that a call of the handler returned, and that Records of the shard are done. What the handler kept with [Defer] is not told of.
type Handled struct {
	Shard    string
	Records  int
	Position checkpoint.Position // of the last of them
	Took     time.Duration       // the call
}

// Retried says that records failed together and will be delivered again after Wait. What [Order] keeps behind them waits too.
type Retried struct {
	Shard     string
	Position  checkpoint.Position // of the first of them
	Key       string              // of that, as Order has it
	Records   int
	Attempt   int    // how often it was delivered
	Exhausted string // why it would have been given up if Failure.Then were not Block: "attempts", "age", "permanent"; "": it would not
	Wait      time.Duration
	Err       error
}

// GivenUp says that a record is done although it was not handled: Failure.Then says how.
type GivenUp struct {
	Shard    string
	Position checkpoint.Position
	Key      string // as Order has it
	Attempts int
	Reason   deadletter.Reason
	Then     Then
	Letter   string // its ID; "": there is none
	Err      error  // the last failure; nil: it was never tried, because its key is parked
}

// Full says that a shard is not read on: a record is not done, and Flow.Records were read behind it, or as many as leave no room worth a call of the service. The record failed, was kept by [Defer], or its
// call lasts longer than Failure.MaxBackoff. It is told once for each such record, and not with [PerShard], where what waits is what is read.
type Full struct {
	Shard    string
	Position checkpoint.Position // of the record
	Key      string              // its key, as Order has it
	Since    time.Time           // when it first failed, was kept, or was handed out
	Records  int                 // from it to the last one that was read
}

// Overdue says that a call of the handler ignores the end of its context since Failure.Timeout. It is given up: its records wait until it has returned, and count as failed then.
type Overdue struct {
	Shard    string
	Position checkpoint.Position // of its first record
	Key      string              // of that, as Order has it
	Records  int
	Lasts    time.Duration
}

// Checkpointed says that a position was stored: on its own, with the end of the shard or with its release.
type Checkpointed struct {
	Shard    string
	Epoch    uint64
	Position checkpoint.Position
	Records  int // that it covers and the one before did not; a position that moved on without records counts as one
}

// Gap says that records were gone before they were read.
type Gap struct {
	Shard   string
	After   checkpoint.Position // the last position that was read; zero: none
	Skipped bool                // whether the consumer goes on behind the gap, or waits: Config.Failure.OnTrimmed
	Err     error               // wraps ErrTrimmed or ErrNoShard
}

// Failed says that something went wrong that is not a handler's failure, and is tried again.
type Failed struct {
	Shard string // "": it concerns no single shard
	Err   error
}

// JoinHooks is the hooks that call all of hs, in their order.
func JoinHooks(hs ...Hooks) Hooks {
	return Hooks{
		Assigned:     joined(hs, func(h Hooks) func(Assigned) { return h.Assigned }),
		Resumed:      joined(hs, func(h Hooks) func(Resumed) { return h.Resumed }),
		Lost:         joined(hs, func(h Hooks) func(Lost) { return h.Lost }),
		Page:         joined(hs, func(h Hooks) func(PageRead) { return h.Page }),
		Handled:      joined(hs, func(h Hooks) func(Handled) { return h.Handled }),
		Retried:      joined(hs, func(h Hooks) func(Retried) { return h.Retried }),
		GivenUp:      joined(hs, func(h Hooks) func(GivenUp) { return h.GivenUp }),
		Full:         joined(hs, func(h Hooks) func(Full) { return h.Full }),
		Overdue:      joined(hs, func(h Hooks) func(Overdue) { return h.Overdue }),
		Checkpointed: joined(hs, func(h Hooks) func(Checkpointed) { return h.Checkpointed }),
		Gap:          joined(hs, func(h Hooks) func(Gap) { return h.Gap }),
		Error:        joined(hs, func(h Hooks) func(Failed) { return h.Error }),
	}
}

func joined[E any](hs []Hooks, field func(Hooks) func(E)) func(E) {
	var fs []func(E)
	for _, h := range hs {
		if f := field(h); f != nil {
			fs = append(fs, f)
		}
	}
	if len(fs) == 0 {
		return nil
	}
	return func(e E) {
		for _, f := range fs {
			f(e)
		}
	}
}
