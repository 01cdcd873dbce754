package main

import (
	"fmt"
	"iter"
	"math/rand/v2"
)

// vote is what a record carries. Every ballot of a voter replaces the one before, so the last one counts.
type vote struct {
	Run       string `json:"run" dynamodbav:"run"` // votes of other runs may be on the same stream
	N         int    `json:"n" dynamodbav:"n"`     // the record's number in its run, from 0
	Voter     string `json:"voter" dynamodbav:"voter"`
	Ballot    int    `json:"ballot" dynamodbav:"ballot"` // the voter's first, second, …
	Candidate string `json:"candidate" dynamodbav:"candidate"`
}

var candidates = []string{"Ada", "Barbara", "Edsger", "Grace", "Tony"}

// election says which votes are cast: the same ones whenever it is asked.
type election struct {
	Run     string
	Seed    uint64
	Records int
}

// Of all records one in repeatOne is a vote of the last recent ones, sent once more: producers repeat themselves when an answer is lost.
const (
	repeatOne = 33
	recent    = 1_000
)

// votes casts them in order: N is 0, 1, 2, … Voters vote four times on average, for whom they please.
func (e election) votes() iter.Seq[vote] {
	return func(yield func(vote) bool) {
		chance := rand.New(rand.NewPCG(e.Seed, 0))
		ballots := make([]int, e.Records/4+1)
		var sent []vote
		for n := range e.Records {
			var v vote
			if n > 0 && chance.IntN(repeatOne) == 0 {
				v = sent[chance.IntN(len(sent))]
			} else {
				voter := chance.IntN(len(ballots))
				ballots[voter]++
				// The better of two draws, so that somebody wins.
				choice := min(chance.IntN(len(candidates)), chance.IntN(len(candidates)))
				v = vote{Run: e.Run, Voter: fmt.Sprintf("voter-%06d", voter), Ballot: ballots[voter], Candidate: candidates[choice]}
			}
			v.N = n
			if len(sent) < recent {
				sent = append(sent, v)
			} else {
				sent[n%recent] = v
			}
			if !yield(v) {
				return
			}
		}
	}
}

// truth is how many voters each candidate has in the end. It is counted without a stream, a worker or a database: what was sent twice
// is thrown away, and of the rest each voter's last counts.
func truth(votes iter.Seq[vote]) map[string]int {
	type ballot struct {
		voter string
		n     int
	}
	cast := make(map[ballot]bool)
	choice := make(map[string]string)
	for v := range votes {
		id := ballot{v.Voter, v.Ballot}
		if cast[id] {
			continue
		}
		cast[id] = true
		choice[v.Voter] = v.Candidate
	}
	count := make(map[string]int)
	for _, candidate := range choice {
		count[candidate]++
	}
	return count
}
