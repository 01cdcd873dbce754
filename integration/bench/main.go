package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if text, ok := os.LookupEnv(taskVariable); ok {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := bench(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say how much is measured.
type options struct {
	Count   int    // rounds
	Profile string // folder for profiles; "": none
	Seconds int    // of what is watched for a time
	Calls   int    // full pages of a shard that are compared
	Shards  int    // that are compared
	Stores  string // of marks, with commas between; "": all
}

// parts are what can be measured, each to a file of its own.
var parts = map[string]func(context.Context, options, *report) error{
	"kinesis": func(ctx context.Context, o options, r *report) error { return compare(ctx, o, r, kinesisShapes) },
	"streams": func(ctx context.Context, o options, r *report) error { return compare(ctx, o, r, streamsShapes) },
	"memory":  memory,
	"lanes":   lanes,
	"idle":    idleShards,
	"latency": latency,
	"pause":   pauses,
	"start":   starts,
	"leases":  leaseTraffic,
	"fleets":  fleets,
	"marks":   markCost,

	"ddbseals": ddbSeals,
}

func bench(args []string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintf(out, "usage: bench [flags] %s\n       bench goals DIR\n", strings.Join(names(), "|"))
		flags.PrintDefaults()
	}
	var o options
	flags.IntVar(&o.Count, "count", 0, "rounds; 0: as many as the part needs")
	flags.IntVar(&o.Seconds, "seconds", 0, "how long to watch; 0: as long as the part needs")
	flags.IntVar(&o.Calls, "calls", 0, "full pages a shard in a comparison; 0: as many as take seconds")
	flags.IntVar(&o.Shards, "shards", 0, "shards in a comparison; 0: 8 of Kinesis, 1 of DynamoDB Streams")
	flags.StringVar(&o.Stores, "stores", "", "stores of marks, with commas between; none: all")
	flags.StringVar(&o.Profile, "profile", "", "folder for profiles of the processor, of each side's last round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.Arg(0) == "goals" && flags.NArg() == 2 {
		return writeGoals(out, flags.Arg(1))
	}
	part, ok := parts[flags.Arg(0)]
	if !ok || flags.NArg() != 1 {
		flags.Usage()
		return fmt.Errorf("name one part: %s", strings.Join(names(), ", "))
	}
	r := &report{out: out}
	r.machine(ctx, strings.Join(args, " "))
	if err := part(ctx, o, r); err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	return r.err
}

func names() []string {
	var all []string
	for name := range parts {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
