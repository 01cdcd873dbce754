package main

import (
	"maps"
	"slices"
	"testing"
)

func TestVotesAreTheSameEachTime(t *testing.T) {
	e := election{Run: "r", Seed: 7, Records: 5_000}
	once, again := slices.Collect(e.votes()), slices.Collect(e.votes())
	if !slices.Equal(once, again) {
		t.Fatal("one seed gave two sequences of votes")
	}
	other := slices.Collect(election{Run: "r", Seed: 8, Records: 5_000}.votes())
	if slices.Equal(once, other) {
		t.Fatal("two seeds gave the same votes")
	}
}

// The votes have all that makes counting them hard.
func TestVotesAreHardToCount(t *testing.T) {
	e := election{Run: "r", Seed: 1, Records: 20_000}
	var repeats, overtaken, changes, n int
	last := make(map[string]vote)
	for v := range e.votes() {
		if v.N != n {
			t.Fatalf("record %d has the number %d", n, v.N)
		}
		n++
		was, voted := last[v.Voter]
		switch {
		case voted && v.Ballot == was.Ballot:
			repeats++
		case voted && v.Ballot < was.Ballot:
			overtaken++
		default:
			if v.Ballot != was.Ballot+1 {
				t.Fatalf("%s cast ballot %d after ballot %d", v.Voter, v.Ballot, was.Ballot)
			}
			if voted && v.Candidate != was.Candidate {
				changes++
			}
			last[v.Voter] = v
		}
	}
	if n != e.Records {
		t.Errorf("%d votes, want %d", n, e.Records)
	}
	if repeats < 300 || overtaken < 10 || changes < 5_000 {
		t.Errorf("%d repeats of a voter's last ballot, %d of an older one, %d changes of mind: too few to show anything", repeats, overtaken, changes)
	}
}

func TestTruth(t *testing.T) {
	got := truth(slices.Values([]vote{
		{Voter: "a", Ballot: 1, Candidate: "Ada"},
		{Voter: "b", Ballot: 1, Candidate: "Ada"},
		{Voter: "a", Ballot: 2, Candidate: "Tony"},
		{Voter: "a", Ballot: 1, Candidate: "Ada"}, // sent once more, and late
		{Voter: "c", Ballot: 1, Candidate: "Grace"},
		{Voter: "c", Ballot: 1, Candidate: "Grace"},
	}))
	if want := (map[string]int{"Ada": 1, "Tony": 1, "Grace": 1}); !maps.Equal(got, want) {
		t.Errorf("the truth is %v, want %v", got, want)
	}
}
