package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/internal/torment"
)

// report is the results as Markdown. Hosts have no name in it.
type report struct {
	command string
	kind    string // of the services
	results []result
	life    []measure
}

// fault joins what was violated.
func (r *report) fault() error {
	n := 0
	for _, res := range r.results {
		n += len(res.violations)
	}
	if n > 0 {
		return fmt.Errorf("%d violations", n)
	}
	return nil
}

func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` on %s; %s\n\n", strings.TrimSpace(r.command), r.kind, torment.Machine())
	if len(r.results) > 0 {
		r.chaos(&b)
	}
	if len(r.life) > 0 {
		r.lives(&b)
	}
	return b.String()
}

func (r *report) chaos(b *strings.Builder) {
	b.WriteString("| scenario | records | kills | stops | cuts | throttles | reshards | joins, leaves | lost | repeats | at most, of | late calls | fenced writes | takeover p50, max | disturbed | violations |\n")
	b.WriteString("|---|" + strings.Repeat("---:|", 15) + "\n")
	for _, res := range merged(r.results) {
		n, f := res.counts, res.found
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %d, %d | %d | %d | %d, %d | %d | %d | %s, %s | %d | %d |\n",
			res.scenario, res.records, n[deedKill], n[deedStop], n["cut"], n[string(torment.Throttle)], n[deedReshard], n[deedJoin], n[deedLeave],
			res.lacking, f.repeats, f.most, res.scenario.bound(), f.late, f.fenced,
			seconds(quantile(f.takeovers, 0.5)), seconds(quantile(f.takeovers, 1)), f.disturbed, len(res.violations))
	}
	for _, res := range r.results {
		for _, v := range res.violations {
			fmt.Fprintf(b, "\n- **%s, seed %d:** %s", res.scenario, res.scenario.storm.seed, v)
		}
	}
	b.WriteString("\n")
}

// merged adds up the rounds of each scenario.
func merged(all []result) []result {
	var sums []result
	for _, res := range all {
		i := slices.IndexFunc(sums, func(s result) bool { return s.scenario.String() == res.scenario.String() })
		if i < 0 {
			sums = append(sums, result{scenario: res.scenario, counts: make(map[string]int)})
			i = len(sums) - 1
		}
		s := &sums[i]
		s.records, s.lacking, s.took = s.records+res.records, s.lacking+res.lacking, s.took+res.took
		for k, n := range res.counts {
			s.counts[k] += n
		}
		s.violations = append(s.violations, res.violations...)
		s.found.repeats += res.found.repeats
		s.found.most = max(s.found.most, res.found.most)
		s.found.late += res.found.late
		s.found.fenced += res.found.fenced
		s.found.disturbed += res.found.disturbed
		s.found.takeovers = append(s.found.takeovers, res.found.takeovers...)
	}
	return sums
}

// quantile is the least value that so large a part of all does not exceed; none has 0.
func quantile(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
