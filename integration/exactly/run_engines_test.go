//go:build engines

package main

import (
	"testing"

	"github.com/runnelhq/runnel/internal/instants"
)

// brief is little to do, at the instants after which marks are all that tells what was done.
var brief = acts{kills: []instants.Instant{instants.Committed, instants.Advanced}, losses: []loss{{}, {late: true}}, reshards: 1}

// run is a short scenario, with what is wrong with it.
func run(t *testing.T, g *ground, s scenario) result {
	t.Helper()
	s.begin, s.input, s.seed, s.acts = sinks[s.sink], inputs[s.stream], 7, brief
	r, err := s.run(t.Context(), g, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if r.done[kills] < len(brief.kills) {
		t.Errorf("%d were killed, want %d", r.done[kills], len(brief.kills))
	}
	return r
}

// The transfers of a bank stand once in every sink, whatever is done to its workers; and without marks some stand twice, and it is seen.
func TestTransfersStandOnce(t *testing.T) {
	g, err := newGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	for _, s := range []scenario{
		{sink: "postgres", stream: "kinesis", byAccount: true},
		{sink: "sqlite", stream: "dynamodb", byAccount: true},
		{sink: "redis", stream: "dynamodb"},
		{sink: "dynamodb", stream: "kinesis"},
	} {
		t.Run(s.sink+" on "+s.stream, func(t *testing.T) {
			if r := run(t, g, s); len(r.violations) > 0 {
				t.Errorf("violated: %q", r.listed())
			}
		})
	}
	t.Run("without marks", func(t *testing.T) {
		if r := run(t, g, scenario{sink: "sqlite", stream: "kinesis", unmarked: true}); r.twice == 0 || r.lost > 0 {
			t.Errorf("%d transfers stand twice, and %d are lost: a worker was killed after its commit, and the lease knew nothing of it", r.twice, r.lost)
		}
	})
}
