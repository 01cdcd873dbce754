//go:build engines

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// taskVariable is the environment variable that makes this program a worker. It holds a [task].
const taskVariable = "RUNNEL_INTEGRATION_TASK"

// task is what a worker process does.
type task struct {
	Worker          string
	Service, Stream string
	App, Leases     string
	EveryN          int // 0: a checkpoint after every record
	Latest          bool
	Timing          lease.Timing // zero: the defaults
	Pace            time.Duration
	State           time.Duration // not 0: how often the process tells of itself
	Order           consumer.OrderBy
	Then            consumer.Then
	Attempts        int           // 0: no bound
	Poison          []item        // refused by the handler, for ever
	Letters         string        // the address of the store of letters; "": none
	Hesitate        time.Duration // before and after the letter of a record that was given up is stored
	Hold            string        // a file until which it waits before that, or with HoldStored after it
	HoldStored      bool
	Redrive         bool   // the process redrives all letters and ends
	Downstream      string // not "": an address that the handler asks for each record, behind a breaker and a limiter
}

// line is what a worker writes: one of its last fields is set. All workers of a test write into one pipe, which keeps their order and outlives them.
type line struct {
	Worker   string
	Delivery *delivery     `json:",omitempty"`
	Refusal  *delivery     `json:",omitempty"`
	State    *processState `json:",omitempty"`
	Log      *logged       `json:",omitempty"`
}

// processState is what must not grow.
type processState struct {
	Goroutines  goroutines
	Connections int64 // made since the start
	Reads       int64 // calls of GetRecords since the start; these may grow
}

// logged is what a worker had to say above the level debug.
type logged struct {
	Level, Message string
}

// say writes a line in one piece: it is shorter than what a pipe takes at once.
func say(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

// work is a worker process, until SIGTERM. It ends at once when the test that started it is gone.
func work(text string) (code int) {
	var job task
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go func() { // it has no end: the process ends first
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3) //nolint:forbidigo // it is the main of a process
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := job.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", job.Worker, err)
		return 1
	}
	return 0
}

func (job task) run(ctx context.Context) error {
	// A stop while it asks for the services is a stop, and no failure.
	services, err := localstack.Start(context.WithoutCancel(ctx), localstack.Options{Kind: localstack.Environment})
	if err != nil {
		return err
	}
	counted, connections, reads := countRequests(services.Clients)
	s := streamOf(job.Service, job.Stream, counted)
	cfg := consumer.Config{
		Name: job.App, Worker: job.Worker,
		Source: s.source(counted), Leases: ddblease.New(counted.DynamoDB(), job.Leases, nil),
		Checkpoint: checkpoint.EveryRecord{}, Timing: job.Timing,
		Handler: job.handler(s), Order: consumer.Order{By: job.Order},
		Failure: consumer.Failure{Backoff: 20 * time.Millisecond, MaxBackoff: 500 * time.Millisecond, MaxAttempts: job.Attempts, Then: job.Then},
		Logger:  slog.New(saying{worker: job.Worker}),
	}
	if job.EveryN > 0 {
		cfg.Checkpoint = checkpoint.EveryN(job.EveryN)
	}
	if job.Latest {
		cfg.Start = checkpoint.Latest()
	}
	if job.Downstream != "" {
		cfg.Flow = guarded()
	}
	if job.Letters != "" {
		letters, closeLetters, err := openLetters(job.Letters)
		if err != nil {
			return err
		}
		defer closeLetters()
		cfg.Failure.Letters = hesitant{letters, job.Hesitate, job.Hold, job.HoldStored}
	}
	if job.Redrive {
		return redrive(ctx, cfg)
	}
	var telling sync.WaitGroup
	var untold error
	life, end := context.WithCancel(ctx)
	if job.State > 0 {
		telling.Go(func() { untold = job.tell(life, connections, reads) })
	}
	err = consumer.Run(ctx, cfg)
	end()
	telling.Wait()
	return errors.Join(err, untold)
}

// tell tells of the process until ctx ends.
func (job task) tell(ctx context.Context, connections, reads *atomic.Int64) error {
	for after(ctx, job.State) == nil {
		all, err := running()
		if err != nil {
			return err
		}
		if err := say(line{Worker: job.Worker, State: &processState{all, connections.Load(), reads.Load()}}); err != nil {
			return err
		}
	}
	return nil
}

// errPoison is the failure of a record that can never be handled.
var errPoison = errors.New("injected: the record is poisonous")

// handler notes each record, unless it is poisonous or the downstream does not take it.
func (job task) handler(s stream) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if err := after(ctx, job.Pace); err != nil {
			return err
		}
		d, err := deliveryOf(job.Worker, s, r)
		if err != nil {
			return err
		}
		if slices.Contains(job.Poison, d.item()) {
			r.Checkpoint() // so that a position that goes before its letter is stored before it too
			return errors.Join(errPoison, say(line{Worker: job.Worker, Refusal: &d}))
		}
		if job.Downstream != "" {
			if err := ask(ctx, job.Downstream); err != nil {
				return err
			}
		}
		return say(line{Worker: job.Worker, Delivery: &d})
	})
}

// saying is a log that tells the test what is above the level debug.
type saying struct{ worker, attributes string }

func (h saying) Enabled(_ context.Context, l slog.Level) bool { return l > slog.LevelDebug }

func (h saying) Handle(_ context.Context, r slog.Record) error {
	text := r.Message + h.attributes
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	return say(line{Worker: h.worker, Log: &logged{r.Level.String(), text[:min(len(text), 2000)]}})
}

func (h saying) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		h.attributes += " " + a.String()
	}
	return h
}

func (h saying) WithGroup(string) slog.Handler { return h }
