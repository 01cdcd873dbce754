package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/torment"
)

// report is the results as Markdown. Hosts have no name in it.
type report struct {
	command string
	results []result
}

// fault says whether anything was violated.
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

// shown is how many violations of a scenario are listed.
const shown = 20

func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`; %s\n\n", strings.TrimSpace(r.command), torment.Machine())
	b.WriteString("| sink | stream | transfers | deliveries | repeats filtered | resumed ahead of the lease | kills | stops | lost answers | reshards | joins, leaves | effects lost | effects twice | other violations |\n")
	b.WriteString("|---|---|" + strings.Repeat("---:|", 12) + "\n")
	var sum result
	for _, res := range r.merged() {
		row(&b, res.sink, res.stream, res)
		sum = plus(sum, res)
	}
	row(&b, "**all**", "", sum)
	for _, res := range r.results {
		for _, v := range res.listed() {
			fmt.Fprintf(&b, "\n- **%s on %s, seed %d:** %s", res.sink, res.stream, res.seed, v)
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// listed are the violations of a scenario, or the first of them.
func (r result) listed() []string {
	if n := len(r.violations) - shown; n > 0 {
		return append(slices.Clip(r.violations[:shown]), fmt.Sprintf("… and %d more", n))
	}
	return r.violations
}

func row(b *strings.Builder, sink, stream string, r result) {
	fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d, %d | %d | %d | %d |\n", sink, stream, r.transfers, r.told.deliveries, r.told.repeats, r.told.ahead,
		r.done[kills], r.done[stops], r.done[answers], r.done[reshards], r.done[joins], r.done[leaves], r.lost, r.twice, len(r.violations)-r.known)
}

// merged adds up the rounds of each sink and stream.
func (r *report) merged() (sums []result) {
	for _, res := range r.results {
		i := slices.IndexFunc(sums, func(s result) bool { return s.sink == res.sink && s.stream == res.stream })
		if i < 0 {
			sums = append(sums, result{scenario: res.scenario})
			i = len(sums) - 1
		}
		sums[i] = plus(sums[i], res)
	}
	return sums
}

func plus(a, b result) result {
	done := make(map[string]int)
	for _, r := range []result{a, b} {
		for kind, n := range r.done {
			done[kind] += n
		}
	}
	a.done = done
	a.transfers += b.transfers
	a.told.deliveries += b.told.deliveries
	a.told.repeats += b.told.repeats
	a.told.ahead += b.told.ahead
	a.lost += b.lost
	a.twice += b.twice
	a.known += b.known
	a.violations = append(slices.Clip(a.violations), b.violations...)
	return a
}
