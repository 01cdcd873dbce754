// Quickstart shows that nothing is lost and nothing is counted twice when a worker dies. It casts the votes of an election into a stream, counts them
// with three worker processes, kills one of them in the middle, and holds the result against the truth:
//
//	go run ./examples/quickstart
//
// It needs nothing but Go: the stream is a directory of files, and leases and tally are in one SQLite file. With -kinesis and -dynamodb the same handler
// counts votes from a Kinesis stream and from the changes of a DynamoDB table. Interrupted, or killed, it goes on where it was when it is given
// the same -dir.
//
// The handler is in worker.go and tally.go; the rest is the show around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags. Workers get those of the program that starts them.
type options struct {
	dir     string
	records int
	seed    uint64
	over    time.Duration
	workers int
	kill    bool

	kinesis, dynamodb, endpoint, leases string
	create                              bool

	worker string
	given  map[string]bool // the names of the flags that were given
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.dir, "dir", "", "the `directory` of the run, made if it is missing; a run that is in it goes on; by default a new one in the system's folder for temporary files")
	flags.IntVar(&o.records, "records", 100_000, "votes to cast")
	flags.Uint64Var(&o.seed, "seed", 1, "which votes: the same seed gives the same ones")
	flags.DurationVar(&o.over, "over", 20*time.Second, "the time over which the votes are cast")
	flags.IntVar(&o.workers, "workers", 3, "worker processes")
	flags.BoolVar(&o.kill, "kill", true, "kill the worker with the most shards when a third is applied")
	flags.StringVar(&o.kinesis, "kinesis", "", "cast the votes into this Kinesis `stream` instead of files")
	flags.StringVar(&o.dynamodb, "dynamodb", "", "cast the votes into this DynamoDB `table` instead of files, and count its changes; with -kinesis too, each gets the votes of half the voters")
	flags.StringVar(&o.endpoint, "endpoint", "", "the `URL` of LocalStack or the like; by default as the AWS environment says")
	flags.BoolVar(&o.create, "create", false, "make stream and table if they are missing; always so with -endpoint")
	flags.StringVar(&o.leases, "leases", "", "keep the leases in this DynamoDB `table`, made if it is missing; by default in the SQLite file")
	flags.StringVar(&o.worker, "worker", "", "be the worker of this `name`: the program starts its workers so")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.given = make(map[string]bool)
	o.create = o.create || o.endpoint != ""
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	var faults []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	refuse(flags.NArg() > 0, "%q is no flag", flags.Args())
	refuse(o.records < 1, "-records %d: give at least 1", o.records)
	refuse(o.over < 0, "-over %s: give a positive time, or 0 to cast all votes at once", o.over)
	refuse(o.workers < 1, "-workers %d: give at least 1", o.workers)
	refuse(o.workers == 1 && o.kill, "-workers 1: nobody could take over from a worker that is killed: give 2 or more, or -kill=false")
	refuse(o.endpoint != "" && o.kinesis == "" && o.dynamodb == "" && o.leases == "", "-endpoint %s: give -kinesis or -dynamodb too, or leave it out", o.endpoint)
	return o, errors.Join(faults...)
}

// forWorkers are the flags of a worker of the same run.
func (o options) forWorkers() []string {
	return []string{"-dir", o.dir, "-kinesis", o.kinesis, "-dynamodb", o.dynamodb, "-endpoint", o.endpoint, "-leases", o.leases}
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	signals, run := []os.Signal{os.Interrupt, syscall.SIGTERM}, quickstart
	if o.worker != "" {
		signal.Ignore(os.Interrupt) // Ctrl-C reaches every process, and is for the one that stops its workers
		signals, run = []os.Signal{syscall.SIGTERM}, work
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err == nil {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// quickstart is the story.
func quickstart(ctx context.Context, o options) (err error) {
	if o.dir, err = directory(o.dir); err != nil {
		return err
	}
	release, err := hold(ctx, o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	r, err := resumeRun(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	boxes, err := o.open(ctx, r.db)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		if err := b.prepare(ctx); err != nil {
			return err
		}
		if err := r.enrol(ctx, b); err != nil {
			return err
		}
	}
	fmt.Printf("%d votes are cast into %s and counted by %d workers; all is in %s\n", r.Records, o.streams(), o.workers, o.dir)
	undone := elect(ctx, o, r, boxes)
	switch {
	case ctx.Err() != nil:
		fmt.Printf("to go on where it was, give the same flags and -dir %s\n", o.dir)
		return undone
	case undone != nil && !errors.Is(undone, errStalled):
		return undone
	}
	res, err := r.result(ctx)
	if err != nil {
		return errors.Join(undone, err)
	}
	o.suggest(os.Stdout)
	res.print(os.Stdout)
	return errors.Join(undone, res.verdict())
}

// elect casts the votes of a run and has them counted.
func elect(ctx context.Context, o options, r *run, boxes []box) error {
	if n, err := r.distinct(ctx); err != nil || n == r.Records {
		return err
	}
	if err := r.forget(ctx); err != nil {
		return err
	}
	votes := &producer{election: r.election, boxes: boxes, over: o.over}
	workers := newCrew(r, o)
	show, err := newWatch(ctx, r, workers, votes, newBoard(os.Stdout), o.kill)
	if err != nil {
		return err
	}
	casting, stop := context.WithCancel(ctx)
	cast := make(chan error, 1)
	go func() { cast <- votes.run(casting); close(cast) }()
	for err == nil && len(workers.members) < o.workers {
		err = workers.hire(ctx)
	}
	if err == nil {
		err = show.until(ctx, cast)
	}
	stop()
	for range cast { // until it has ended
	}
	return errors.Join(err, workers.stop())
}

// directory is the one that was named, or a new one.
func directory(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "runnel-quickstart-")
	}
	return filepath.Abs(dir)
}

// streams says where the votes go.
func (o options) streams() string {
	switch {
	case o.kinesis != "" && o.dynamodb != "":
		return "kinesis:" + o.kinesis + " and dynamodb:" + o.dynamodb
	case o.kinesis != "":
		return "kinesis:" + o.kinesis
	case o.dynamodb != "":
		return "dynamodb:" + o.dynamodb
	}
	return "files"
}

// suggest says where everything is, and what to try next.
func (o options) suggest(w io.Writer) {
	fmt.Fprintf(w, "\nall is kept in %s; who counted which shard, and how much of it:\n  sqlite3 %s 'SELECT * FROM tenures'\n", o.dir, filepath.Join(o.dir, "quickstart.db"))
	if o.streams() == "files" {
		fmt.Fprintln(w, "next time, press Ctrl-C in the middle, or kill -9 any of the processes, and give the same command again:")
		fmt.Fprintf(w, "  go run ./examples/quickstart -dir %s-2 -kill=false\n", o.dir)
		fmt.Fprintln(w, "the same handler on a stream and on the changes of a table:")
		fmt.Fprintln(w, "  go run ./examples/quickstart -kinesis votes -dynamodb votes -endpoint http://localhost:4566")
	}
}
