package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// measure is a figure of the life of workers, beside what is to be reached.
type measure struct {
	life     string
	what     string
	measured string
	goal     string // "": it is there to be known
	reached  bool
}

// life is something that happens to a crew at the default timings, and what is measured of it.
type life struct {
	name    string
	workers int // at the beginning
	act     func(ctx context.Context, l *living) error
	measure func(l *living, m *meter)
}

var lives = []life{
	{"handoff", 2, handoff, measureHandoff},
	{"stop", 3, stop, measureStop},
	{"deploy", 6, deploy, measureDeploy},
	{"crash", 3, crash, measureCrash},
	{"start", 0, start, measureStart},
	{"fleet", 4, fleet, measureFleet},
}

func lifeNames() []string {
	var names []string
	for _, l := range lives {
		names = append(names, l.name)
	}
	return names
}

// lifeShards are so few that they are handled often: what is measured has a pause between two records of a shard in it, 50 ms on average, and one between
// two reads.
const lifeShards = 12

var lifeLoad = load{Keys: 120, Each: 24, Every: 100 * time.Millisecond, Most: 200_000}

// living is a life under way, and afterwards what is known of it.
type living struct {
	*stage
	tormentor *tormentor
	since     time.Duration // when what is measured began
	led       *worker       // that listed the shards when it was killed; nil: none

	ledger *ledger // afterwards
}

// life runs the lives that are named, or all.
func (o options) life(ctx context.Context, services localstack.Clients, names []string, r *report, log io.Writer) error {
	for _, name := range names {
		if !slices.Contains(lifeNames(), name) {
			return fmt.Errorf("no life is called %q: use some of %s", name, strings.Join(lifeNames(), ", "))
		}
	}
	store, _, _ := strings.Cut(o.stores, ",")
	for _, l := range lives {
		if len(names) > 0 && !slices.Contains(names, l.name) {
			continue
		}
		fmt.Fprintf(log, "%s, %s\n", l.name, store)
		all, err := l.run(ctx, services, store, fault(o.broken), log)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		r.life = append(r.life, all...)
	}
	return nil
}

func (l life) run(ctx context.Context, services localstack.Clients, store string, broken fault, log io.Writer) ([]measure, error) {
	st, err := newStage(ctx, services, store, lifeShards, task{EveryN: defaults, Pace: time.Millisecond, Break: broken})
	if err != nil {
		return nil, err
	}
	v := &living{stage: st, tormentor: &tormentor{crew: st.crew, stream: st.stream, log: log, began: torment.Clock()}}
	err = st.play(ctx, lifeLoad, func(ctx context.Context) error {
		if _, err := st.crew.hireAll(ctx, l.workers); err != nil {
			return err
		}
		if l.workers > 0 {
			if err := v.calm(ctx); err != nil {
				return err
			}
		}
		v.since = torment.Clock()
		return l.act(ctx, v)
	})
	load := torment.LoadAverage()
	h, closeErr := st.close(ctx)
	if err = errors.Join(err, closeErr); err != nil {
		return nil, err
	}
	h.deeds, h.bound = v.tormentor.deeds, scenario{everyN: defaults}.bound()
	violations, found := verify(h)
	v.ledger = newLedger(h)
	for _, c := range v.ledger.changes(v.since) {
		fmt.Fprintf(log, "  %5.1f s  %s from %s to %s, %.2f s, %d repeated\n", (c.begun - v.tormentor.began).Seconds(), c.shard, c.from, c.to, c.pause.Seconds(), c.repeats)
	}
	m := &meter{life: l.name}
	l.measure(v, m)
	lacking := 0
	for _, x := range violations {
		fmt.Fprintf(log, "  VIOLATION %s\n", x)
		if x.rule == ruleLost {
			lacking++
		}
	}
	m.most("records lost", lacking, 0)
	m.most("other violations", len(violations)-lacking, 0)
	m.known("records, deliveries repeated, load average", fmt.Sprintf("%d, %d, %s", len(h.records), found.repeats, load))
	return m.all, nil
}

// calm waits until the shards are spread over the workers that run, and then longer than any of them waits before it moves one.
func (l *living) calm(ctx context.Context) error {
	if err := l.settled(ctx, lifeShards, 2*time.Minute); err != nil {
		return err
	}
	return backoff.Wait(ctx, usual.Settle)
}

// meter collects what was measured.
type meter struct {
	life string
	all  []measure
}

func (m *meter) known(what, measured string) {
	m.all = append(m.all, measure{life: m.life, what: what, measured: measured})
}

func (m *meter) most(what string, measured, most int) {
	m.all = append(m.all, measure{m.life, what, fmt.Sprint(measured), fmt.Sprintf("at most %d", most), measured <= most})
}

// times has the median and the longest of some times. A goal of 0 is none.
func (m *meter) times(what string, all []time.Duration, p50, longest time.Duration) {
	m.time(fmt.Sprintf("%s: p50 of %d", what, len(all)), quantile(all, 0.5), p50, len(all) > 0)
	m.time("… longest", quantile(all, 1), longest, len(all) > 0)
}

func (m *meter) time(what string, measured, goal time.Duration, some bool) {
	x := measure{life: m.life, what: what, measured: "nothing"}
	if some {
		x.measured = fmt.Sprintf("%.2f s", measured.Seconds())
	}
	if goal > 0 {
		x.goal, x.reached = fmt.Sprintf("at most %.1f s", goal.Seconds()), some && measured <= goal
	}
	m.all = append(m.all, x)
}

func (r *report) lives(b *strings.Builder) {
	b.WriteString("| life | | measured | to reach | |\n|---|---|---:|---:|---|\n")
	for _, m := range r.life {
		verdict := ""
		if m.goal != "" {
			if verdict = "reached"; !m.reached {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", m.life, m.what, m.measured, m.goal, verdict)
	}
}
