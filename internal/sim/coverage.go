package sim

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Counts is how often each kind of fault and each rare branch came up in a run.
type Counts map[string]int

func (c Counts) add(what string) { c[what]++ }

// heard counts what a line of the log tells.
func (c Counts) heard(r slog.Record) {
	switch r.Message {
	case "lease: not taken":
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "why" {
				c.add("take refused: " + a.Value.String())
			}
			return true
		})
	case "lease: lost":
		c.add("lease lost")
	}
}

// wanted is what must come up in at least one of a hundred seeds: each kind of fault, and each branch that only a rare order of events takes.
var wanted = []string{
	"LATEST pinned",
	"adoption of a row that names me",
	"ambiguous take: it was applied",
	"ambiguous take: it was not applied",
	"answer about letters lost",
	"answer of the sink lost",
	"began with what is done behind",
	"broken listing",
	"call that failed",
	"call that is halved",
	"child of a parent that is gone",
	"child waiting for its second parent",
	"clean stop",
	"clean stop in quiet",
	"conflict though applied",
	"crippled worker",
	"dead owner taken off by an operator",
	"effect that was forgotten and came again",
	"effect that was forgotten and passed in the same epoch",
	"effect that was forgotten of a shard that has ended",
	"effect that was forgotten with the seal",
	"effects undone",
	"end that names no children",
	"epoch that was handed out twice",
	"epochs forgotten by the store of leases",
	"fail-over that forgot effects",
	"freeze",
	"full window",
	"handler that ignores its context",
	"handler that was left behind",
	"key free again",
	"key parked",
	"key that is parked no longer",
	"kill",
	"kill in quiet",
	"late heartbeat or kill that landed",
	"late join that landed",
	"late release that landed",
	"late take or checkpoint that landed",
	"late write",
	"lease lost",
	"letter not stored",
	"letter of an older generation redriven",
	"letter of an older generation that is void",
	"letter redriven",
	"letter stored",
	"letter that is void",
	"letters written late",
	"lister taken over",
	"lister taken over from a living one",
	"listing that missed a change",
	"lost answer",
	"lost read",
	"lost write",
	"merge",
	"operator killed",
	"operator: drain a worker",
	"operator: pause",
	"operator: pause shards",
	"operator: reset",
	"outage",
	"owner of whom the sink has forgotten",
	"owner whose sink has forgotten where it stood",
	"partial listing of shards",
	"partition",
	"race to kill lost",
	"record buried",
	"record given up that the sink holds already",
	"record repeated",
	"record skipped",
	"record that follows its key",
	"records that the sink holds already",
	"redrive killed",
	"redrive that failed again",
	"redrive that is too early",
	"released with what is done behind",
	"request cut off",
	"row removed",
	"service that fails",
	"session ended by a jump of the wall clock",
	"session joined anew",
	"session killed",
	"session retired with a stuck handler",
	"session revived by a late join",
	"shard forgotten by the service",
	"shard given up because the sink refuses",
	"shard reset",
	"shard sealed again",
	"shard that begins with a parked key",
	"sink failed over",
	"sink that is ahead of its lease",
	"sink that is behind its lease",
	"sink written late",
	"slow request",
	"split",
	"stale listing that misled",
	"stored with what is done behind",
	"suspend",
	"take from a dead owner",
	"take refused: its owner is not known to be dead",
	"take refused: not all its parents have ended",
	"throttled read",
	"throttled write",
	"two owners with clocks beyond the bound",
	"wall clock jump",
	"watchdog that bit",
	"worker crippled for good",
	"write repeated later",
	"zombie fenced by the sink",
	"zombie's checkpoint rejected",
	"zombie's release rejected",
}

// Coverage says in how many of the runs each thing came up, and which of those that must came up too rarely.
func Coverage(runs map[uint64]Result) (table string, lacking []string) {
	hit := make(map[string]int)
	for _, what := range wanted {
		hit[what] = 0
	}
	for _, r := range runs {
		for what := range r.Counts {
			hit[what]++
		}
	}
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(hit)) {
		fmt.Fprintf(&b, "%6.1f %%  %s\n", 100*float64(hit[what])/float64(max(1, len(runs))), what)
		if 100*hit[what] < len(runs) && slices.Contains(wanted, what) {
			lacking = append(lacking, what)
		}
	}
	return b.String(), lacking
}
