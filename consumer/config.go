package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// Config says what to consume, and how. Name, Source, Leases and Handler are required; the zero value of every other field is its
// default.
type Config struct {
	// Name is the application: workers of one name on one lease store share the shards of one stream. 1 to 200 bytes of any kind; to
	// start from nothing take another name.
	Name    string
	Source  Source
	Leases  lease.Store
	Handler Handler

	// Worker is a name for logs and lease rows; it need not be unique. Defaults to the host's name and the process number.
	Worker string
	// Start is where to begin on a stream that this application has never read. Defaults to TRIM_HORIZON, the oldest record held. LATEST is resolved
	// once, when the first worker starts. checkpoint.After is a place in a single shard and is refused.
	Start checkpoint.Start
	// Checkpoint is how often positions are stored. Defaults to any of 1,000 records and 5 s.
	Checkpoint checkpoint.Strategy
	// Filter, if not nil, says which records are for the handler. The others are done as soon as they were read. It is called for each record that is read, and must be quick; where it panics, the
	// record fails, as a record whose handler panics does.
	Filter func(r Record) bool

	// Delivery is how often a record may take effect. Default [AtLeastOnce].
	Delivery Delivery
	// Sink is where the effects live, which keeps a mark of each record beside them: see [Once], which sets it. By hand it is for handlers that call the Apply of the sink's package
	// with [Record.Mark]. The shard is sealed in it before anything is read, and read from where it stands. Its method Setup(ctx) error, if it has one, is called when Run begins. Defaults to that of Once; otherwise none.
	Sink dedup.Sink

	Order   Order
	Batch   Batch
	Failure Failure
	Flow    Flow
	Balance Balance
	Timing  lease.Timing
	Stop    Stop

	// Logger is told what an operator should know: assignments at Info, troubles at Warn. Defaults to nothing.
	Logger *slog.Logger
	Hooks  Hooks
}

// Flow bounds what is in flight: read from the source and not settled.
type Flow struct {
	// Budget bounds the bytes. Defaults to one of [DefaultBudget] that the consumer has for itself.
	Budget *Budget
	// Records bounds the records of a shard from the first one that is not settled to the last one that was read. Default 20,000: what the largest answer of a service holds, twice, so that one
	// is read while another is handled. When a record is stuck the others go on, and reading stops at this bound: see [Hooks].Full.
	Records int
	// Limiter holds calls back to so many records or calls a second, such as ratelimit.Records. Defaults to none.
	Limiter Limiter
	// Breaker stops calls and reading while what the handler depends on is gone, such as circuit.New. Defaults to none.
	Breaker Breaker
}

// Balance is how shards are shared out among the workers of the application: evenly by their number unless told otherwise.
type Balance struct {
	// ByWeight shares shards out by the bytes a second that they bring, as their owners measure them, and not by their number: for streams of which few shards bring most. Small
	// differences move nothing. It counts if all workers have it. Default false.
	ByWeight bool
	// Zone is where this worker is, such as its availability zone. A shard that is placed anew goes to a worker in the zone where it was last worked on, if the load
	// allows: for caches and sinks that a zone has for itself. Default "": anywhere.
	Zone string
}

// Stop is how much time a shard gets to be given up, when Run's context ends and when the shard is wanted by another worker.
type Stop struct {
	// Drain is how long handlers may go on before their contexts end. Default 30 s.
	Drain time.Duration
	// Grace is how long handlers have after the end of their contexts, and how long the last write may take. A handler that has not
	// returned by then is abandoned: its shard is not released but left to expire. Default 5 s.
	Grace time.Duration
}

func (c Config) withDefaults() Config {
	c.Worker = cmp.Or(c.Worker, lease.ProcessName())
	if c.Checkpoint == nil && c.Delivery != AtMostOnce {
		c.Checkpoint = checkpoint.Any{checkpoint.EveryN(1000), checkpoint.Every(5 * time.Second)}
	}
	if h, ok := c.Handler.(sinking); ok && c.Sink == nil {
		c.Sink = h.sink()
	}
	if c.Batch.Size == 0 {
		c.Batch.Size = 1000
		if _, ok := c.Handler.(each); ok {
			c.Batch.Size = 1
		} else if c.Sink != nil && c.Sink.Terms().Batch > 0 {
			c.Batch.Size = min(c.Batch.Size, c.Sink.Terms().Batch)
		}
	}
	c.Order, c.Failure = c.Order.withDefaults(), c.Failure.withDefaults()
	if c.Delivery == AtMostOnce {
		fill(&c.Failure.MaxAttempts, 1)
	}
	fill(&c.Flow.Records, 20_000)
	if c.Flow.Budget == nil {
		c.Flow.Budget = NewBudget(DefaultBudget)
	}
	fill(&c.Stop.Drain, 30*time.Second)
	fill(&c.Stop.Grace, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) retries() backoff.Policy { return c.Failure.policy().Backoff }

// validate joins every fault of a Config that has its defaults.
func (c Config) validate() error {
	var faults []error
	var refuse refusal = func(wrong bool, field, problem string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf("consumer: Config.%s %s", field, fmt.Sprintf(problem, args...)))
		}
	}
	refuse(c.Name == "", "Name", "is empty: name the application; workers of one name share its shards")
	refuse(len(c.Name) > 200, "Name", "has %d bytes: use at most 200", len(c.Name))
	refuse(c.Source == nil, "Source", "is nil: give the stream to read, such as kinesissource.New(client, stream, nil)")
	refuse(c.Leases == nil, "Leases", "is nil: give the store of leases, such as ddblease.New(client, table, nil)")
	h, once := c.Handler.(sinking)
	refuse(once && h.empty(), "Handler", "was made by consumer.Once without a sink or without a function")
	refuse(noHandler(c.Handler), "Handler", "is nil: give what processes the records, such as consumer.Each(f)")
	refuse(c.Start.Kind() == checkpoint.StartAfter, "Start", "is %s, a place in a single shard: use the zero Start, checkpoint.Latest or checkpoint.AtTime", c.Start)
	refuse(c.Start.Kind() == checkpoint.StartAtTime && c.Start.Time().IsZero(), "Start", "is the zero instant: use the zero Start for the oldest record held")
	c.Order.faults(refuse)
	c.deliveryFaults(refuse)
	c.Batch.faults(refuse)
	c.Failure.faults(refuse, c.Order.By)
	refuse(c.Flow.Records < 0, "Flow.Records", "is %d: use 1 or more, or 0 for 20000", c.Flow.Records)
	refuse(c.Flow.Budget.limit < 1, "Flow.Budget", "has no size: make it with consumer.NewBudget")
	refuse(c.Stop.Drain < 0, "Stop.Drain", "is %v: use a positive duration, or 0 for 30s", c.Stop.Drain)
	refuse(c.Stop.Grace < 0, "Stop.Grace", "is %v: use a positive duration, or 0 for 5s", c.Stop.Grace)
	if c.Delivery != AtMostOnce {
		faults = append(faults, strategyFaults("Checkpoint", c.Checkpoint)...)
	}
	if err := c.Timing.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("consumer: Config.Timing: %w", err))
	}
	faults = append(faults, ownFault("Source", c.Source), ownFault("Leases", c.Leases), ownFault("Failure.Letters", c.Failure.Letters), ownFault("Sink", c.Sink))
	return errors.Join(faults...)
}

// refusal notes a fault of a field, if it is one.
type refusal func(wrong bool, field, problem string, args ...any)

// ownFault is what a part that can be made wrongly says of itself.
func ownFault(field string, part any) error {
	v, ok := part.(interface{ Validate() error })
	if !ok {
		return nil
	}
	if err := v.Validate(); err != nil {
		return fmt.Errorf("consumer: Config.%s: %w", field, err)
	}
	return nil
}

func noHandler(h Handler) bool {
	switch h := h.(type) {
	case nil:
		return true
	case each:
		return h == nil
	case HandlerFunc:
		return h == nil
	}
	return false
}

// strategyFaults finds the values of the strategies at hand that could only be mistakes.
func strategyFaults(field string, s checkpoint.Strategy) []error {
	wrong := func(format string, args ...any) []error {
		return []error{fmt.Errorf("consumer: Config.%s %s", field, fmt.Sprintf(format, args...))}
	}
	switch s := s.(type) {
	case nil:
		return wrong("is nil: name a strategy")
	case checkpoint.EveryN:
		if s < 1 {
			return wrong("is EveryN(%d): use 1 or more", s)
		}
	case checkpoint.EveryBytes:
		if s < 1 {
			return wrong("is EveryBytes(%d): use 1 or more", s)
		}
	case checkpoint.Every:
		if time.Duration(s) < time.Millisecond {
			return wrong("is Every(%v): use a duration of 1ms or more, such as checkpoint.Every(5*time.Second), or EveryRecord", time.Duration(s))
		}
	case checkpoint.Any:
		if len(s) == 0 {
			return wrong("is an empty Any: name a strategy, or use checkpoint.Manual")
		}
		var faults []error
		for i, inner := range s {
			faults = append(faults, strategyFaults(fmt.Sprintf("%s[%d]", field, i), inner)...)
		}
		return faults
	}
	return nil
}
