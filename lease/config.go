package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/runnelhq/runnel/checkpoint"
)

// Config is what a [Coordinator] needs. Store, App, Stream, Shards, Pin, Gone and Work are required. Its funcs are called from several
// goroutines.
type Config struct {
	Store  Store
	App    string // the application: workers of one App share its shards
	Worker string // a name for logs and rows; defaults to the host's name and the process number. It need not be unique

	Stream      string // what is read: one App reads one Stream
	Incarnation string // which one of that name: rows of two incarnations never mix

	Start checkpoint.Start // where shards start that no shard of ours came before; only an application's first worker is asked

	// Shards lists the stream's shards, parents first if it can. Listings may be incomplete.
	Shards func(ctx context.Context) iter.Seq2[Shard, error]
	// Pin turns LATEST into a start that stays where it is. It is called once an incarnation, by one worker.
	Pin func(ctx context.Context, at checkpoint.Start) (checkpoint.Start, error)
	// Gone tells whether the service no longer knows a shard, by asking for that shard.
	Gone func(ctx context.Context, shard string) (bool, error)

	// Work processes a shard until it has called Release or End, or ctx has ended with a cause. It is called in a goroutine of its own,
	// once an epoch. If it must return while a handler of the shard still runs, it returns a channel that is closed when that handler has
	// returned: until then the shard is neither freed nor taken again by this process. Otherwise it returns nil.
	Work func(ctx context.Context, l *Lease) (running <-chan struct{})

	// Zone is where this worker is, such as an availability zone. Of the workers that may take a shard, one in the zone where it was last worked on is preferred; the spread
	// of the load comes first. "": anywhere.
	Zone string
	// ByWeight shares shards out by the bytes that they bring ([Lease.Weigh]) and not by their number, if all workers of the application want it.
	ByWeight bool

	Timing Timing
	Logger *slog.Logger // nil: nothing is logged
	Error  func(error)  // what went wrong and is being retried; nil: nobody is told
	// Incarnated, if not nil, is asked now and then which incarnation the stream has. Another one than Incarnation
	// ends Run with [ErrIncarnation] after the shards were released.
	Incarnated func(ctx context.Context) (string, error)
}

// ProcessName is the host's name and the process number: what a worker is called unless it is told otherwise.
func ProcessName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

func (c Config) withDefaults() Config {
	c.Worker = cmp.Or(c.Worker, ProcessName())
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Error == nil {
		c.Error = func(error) {}
	}
	c.Timing = c.Timing.withDefaults()
	return c
}

// faults checks c, defaults filled in.
func (c Config) faults() error {
	var faults []error
	require := func(is bool, field, fix string) {
		if !is {
			faults = append(faults, fmt.Errorf("%s is missing: %s", field, fix))
		}
	}
	require(c.Store != nil, "Store", "give the store of the leases, such as memlease.New()")
	require(c.App != "", "App", "name the application: its workers share its shards")
	require(c.Stream != "", "Stream", "name what is read")
	require(c.Shards != nil, "Shards", "give the listing of the stream's shards")
	require(c.Pin != nil, "Pin", "give what turns LATEST into a start that stays where it is")
	require(c.Gone != nil, "Gone", "give what asks the service for one shard")
	require(c.Work != nil, "Work", "give what processes a shard")
	for field, text := range map[string]string{"App": c.App, "Stream": c.Stream, "Incarnation": c.Incarnation, "Worker": c.Worker, "Zone": c.Zone} {
		if !utf8.ValidString(text) {
			faults = append(faults, fmt.Errorf("%s is %q, which is not valid UTF-8: choose another", field, text))
		}
	}
	if c.App != strings.TrimSpace(c.App) {
		faults = append(faults, fmt.Errorf("%s is %q: remove the space around it", "App", c.App))
	}
	faults = append(faults, c.Timing.faults()...)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("lease: %w", errors.Join(faults...))
}
