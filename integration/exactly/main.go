package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/internal/torment"
)

func main() {
	if code, ok := torment.Guard(); ok {
		os.Exit(code)
	}
	if err := exactly(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "exactly:", err)
		os.Exit(1)
	}
}

// options say what is done.
type options struct {
	seed    uint64
	sinks   string
	streams string
	long    time.Duration // 0: each scenario once
	table   string
	log     string
	marks   string
}

func exactly(args []string, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flags := flag.NewFlagSet("exactly", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Uint64Var(&o.seed, "seed", 0, "chooses what is done; 0: another one each time, which is printed")
	flags.StringVar(&o.sinks, "sinks", "postgres,sqlite,redis,dynamodb", "the databases of the bank")
	flags.StringVar(&o.streams, "streams", "kinesis,dynamodb", "the kinds of streams")
	flags.DurationVar(&o.long, "long", 0, "repeat for so long, with other seeds; 0: each scenario once")
	flags.StringVar(&o.table, "table", "", "file for the table of results; none: it is printed only")
	flags.StringVar(&o.log, "log", "", "file for what the workers log; none: it is dropped")
	flags.StringVar(&o.marks, "marks", "on", "off: effects have no marks, and the run must fail")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.marks != "on" && o.marks != "off" {
		return fmt.Errorf("%q: use the flags, and -marks on or off", args)
	}
	o.seed = cmp.Or(o.seed, rand.Uint64()%1e6+1)
	g, err := newGround(ctx, o.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	r := &report{command: "exactly " + strings.Join(args, " ")}
	err = o.run(ctx, g, r, out)
	fmt.Fprintf(out, "\n%s", r)
	if o.table != "" {
		err = errors.Join(err, os.WriteFile(o.table, []byte(r.String()), 0o644))
	}
	return err
}

// run runs the scenarios, once or for as long as was asked.
func (o options) run(ctx context.Context, g *ground, r *report, out io.Writer) error {
	begin := torment.Clock()
	for round := uint64(0); ; round++ {
		some, err := o.scenarios(round)
		if err != nil {
			return err
		}
		for _, s := range some {
			res, err := s.run(ctx, g, out)
			if err != nil {
				return err
			}
			r.results = append(r.results, res)
		}
		if torment.Clock()-begin >= o.long {
			return r.fault()
		}
	}
}

// scenarios are those of a round: each sink on each kind of stream. Every other one keeps the order of shards, and in the next round that of accounts.
func (o options) scenarios(round uint64) ([]scenario, error) {
	var some []scenario
	for i, name := range strings.Split(o.sinks, ",") {
		sink, ok := sinks[name]
		if !ok {
			return nil, fmt.Errorf("no sink is called %q", name)
		}
		for j, kind := range strings.Split(o.streams, ",") {
			input, ok := inputs[kind]
			if !ok {
				return nil, fmt.Errorf("no stream is called %q", kind)
			}
			some = append(some, scenario{
				sink: name, stream: kind, begin: sink, input: input, byAccount: (uint64(i)+uint64(j)+round)%2 == 0,
				unmarked: o.marks == "off", seed: o.seed + round*100 + uint64(len(some)), acts: all,
			})
		}
	}
	return some, nil
}

// build makes the program of the workers in a folder.
func build(ctx context.Context, dir string) (string, error) {
	bank := filepath.Join(dir, "bank")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", bank, "github.com/runnelhq/runnel/examples/bank").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the bank: %w\n%s", err, out)
	}
	return bank, nil
}
