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
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

func main() {
	if code, ok := torment.Guard(); ok {
		os.Exit(code)
	}
	if text, ok := os.LookupEnv(taskVariable); ok {
		os.Exit(child(text))
	}
	if err := chaos(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options say what is done.
type options struct {
	seed   uint64
	stores string
	long   time.Duration // 0: each scenario once
	table  string
	broken string
}

func chaos(args []string, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintf(out, "usage: chaos [flags]            torment workers, and check what they did\n       chaos [flags] life [%s]...   measure what the life of workers costs\n", strings.Join(lifeNames(), "|"))
		flags.PrintDefaults()
	}
	flags.Uint64Var(&o.seed, "seed", 0, "chooses what is done; 0: another one each time, which is printed")
	flags.StringVar(&o.stores, "stores", strings.Join(storeNames(), ","), "the stores of leases")
	flags.DurationVar(&o.long, "long", 0, "repeat for so long, with other seeds; 0: each scenario once")
	flags.StringVar(&o.table, "table", "", "file for the table of results; none: it is printed only")
	flags.StringVar(&o.broken, "break", "", fmt.Sprintf("what is wrong with the workers on purpose, one of %q: the run must fail", faults[1:]))
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !slices.Contains(faults, fault(o.broken)) {
		return fmt.Errorf("no fault is called %q: use one of %q", o.broken, faults[1:])
	}
	o.seed = cmp.Or(o.seed, rand.Uint64()%1e6+1)
	services, err := localstack.Start(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.Close()) }()
	r := &report{command: "chaos " + strings.Join(args, " "), kind: string(services.Kind)}
	if flags.Arg(0) == "life" {
		err = o.life(ctx, services.Clients, flags.Args()[1:], r, out)
	} else if flags.NArg() > 0 {
		flags.Usage()
		err = fmt.Errorf("%q is not known", flags.Arg(0))
	} else {
		err = o.torment(ctx, services.Clients, r, out)
	}
	fmt.Fprintf(out, "\n%s", r)
	if o.table != "" {
		err = errors.Join(err, os.WriteFile(o.table, []byte(r.String()), 0o644))
	}
	return err
}

func storeNames() []string {
	var names []string
	for _, k := range stores {
		names = append(names, k.name)
	}
	return names
}

// torment runs the scenarios, once or for as long as was asked.
func (o options) torment(ctx context.Context, services localstack.Clients, r *report, out io.Writer) error {
	begin := torment.Clock()
	for round := uint64(0); ; round++ {
		for _, s := range o.scenarios(round) {
			res, err := s.run(ctx, services, fault(o.broken), out)
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

// scenarios are those of a round: each store once, with one strategy and in the next round with the other, and DynamoDB with both. The first round of a long run has the default timings, too.
func (o options) scenarios(round uint64) []scenario {
	var all []scenario
	for i, name := range strings.Split(o.stores, ",") {
		strategies := []int{0}
		switch {
		case name == "dynamodb":
			strategies = []int{0, 10}
		case (uint64(i)+round)%2 == 0:
			strategies = []int{10}
		}
		for _, n := range strategies {
			all = append(all, scenario{
				store: name, everyN: n, timing: swift, quiet: 3,
				storm: storm{seed: o.seed + round*100 + uint64(len(all)), kills: 4, stops: 2, reshards: 4, changes: 2},
			})
		}
	}
	if o.long > 0 && round == 0 {
		all = append(all, scenario{
			store: "dynamodb", everyN: defaults, timing: usual, quiet: 2,
			storm: storm{seed: o.seed + 99, kills: 4, stops: 2, reshards: 4, changes: 2},
		})
	}
	return all
}
