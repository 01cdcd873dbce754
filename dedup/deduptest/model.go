package deduptest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/runnelhq/runnel/dedup"
)

const (
	historyRecords = 12 // of the shard of a history
	historyKeys    = 2  // with PerKey: records of even and of odd numbers
)

// fate is what has become of a record.
type fate uint8

const (
	untouched fate = iota
	applied
	dead
)

// state is what a sink holds of a shard, and how often effects stand: that of an applied record once.
type state struct {
	epoch  uint64
	worker int // whose session is sealed
	low    int
	lanes  [historyKeys]int // with PerKey: the last record of each that is done
	fates  [historyRecords + 1]fate
}

// operation is one on the shard of a history, as its caller saw it.
type operation struct {
	verb    string // "seal", "apply", "bury", "advance", "redrive" or "total"
	perKey  bool
	faulty  bool // answers may have been lost
	epoch   uint64
	worker  int
	records []int // of "apply", "bury", "redrive" and "total"
	to      int   // of "advance"

	call, answer int64 // ticks of one clock for all callers
	outcome      error // nil, or the kind of error
	fresh        []int // of "apply" and "redrive": the records that were
	saw          int   // low, or the total
}

func (o operation) String() string {
	text := fmt.Sprintf("%6d to %6d  worker %d, epoch %d: %s %v", o.call, o.answer, o.worker, o.epoch, o.verb, o.records)
	switch {
	case o.outcome != nil:
		return text + ": " + o.outcome.Error()
	case o.verb == "advance":
		return text + fmt.Sprintf(" to %d: done", o.to)
	case o.verb == "seal", o.verb == "total":
		return text + fmt.Sprintf(": %d", o.saw)
	}
	return text + fmt.Sprintf(": fresh %v", o.fresh)
}

// owns tells whether o's worker has the seal.
func (o operation) owns(s state) bool { return s.epoch == o.epoch && s.worker == o.worker }

// passed tells whether a record is done.
func (o operation) passed(s state, r int) bool {
	return r <= s.low || o.perKey && r <= s.lanes[r%historyKeys]
}

// done is what the sink holds after o, and what o has to answer.
func (o operation) done(s state) (next state, answer operation) {
	answer = o
	answer.outcome, answer.fresh, answer.saw = nil, nil, 0
	switch o.verb {
	case "total":
		if s.fates[o.records[0]] == applied {
			answer.saw = 1
		}
		return s, answer
	case "redrive":
		switch r := o.records[0]; {
		case s.fates[r] == dead:
			s.fates[r] = applied
			answer.fresh = []int{r}
		case !o.passed(s, r):
			answer.outcome = dedup.ErrPending
		}
		return s, answer
	case "seal":
		if o.epoch < s.epoch || o.epoch == s.epoch && o.worker != s.worker {
			answer.outcome = dedup.ErrFenced
			return s, answer
		}
		s.epoch, s.worker = o.epoch, o.worker
		answer.saw = s.low
		return s, answer
	}
	if !o.owns(s) {
		answer.outcome = dedup.ErrFenced
		return s, answer
	}
	if o.verb == "advance" {
		s.low = max(s.low, o.to)
		return s, answer
	}
	for _, r := range o.records {
		if o.passed(s, r) {
			continue
		}
		s.fates[r] = dead
		if o.verb == "apply" {
			s.fates[r] = applied
			answer.fresh = append(answer.fresh, r)
		}
		if o.perKey {
			s.lanes[r%historyKeys] = r
		} else {
			s.low = r
		}
	}
	return s, answer
}

// model is a shard. Each call takes effect in one instant between call and answer; one that was not settled at any later time, or never.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(held, input, _ any) []any {
		s, o := held.(state), input.(operation)
		next, answer := o.done(s)
		switch {
		case errors.Is(o.outcome, dedup.ErrUnsettled):
			return []any{s, next}
		case o.faulty && errors.Is(o.outcome, dedup.ErrFenced) && answer.outcome == nil:
			return []any{next} // it was done, and another has sealed before that was known
		case !errors.Is(o.outcome, answer.outcome), !slices.Equal(o.fresh, answer.fresh), o.saw != answer.saw:
			return nil
		}
		return []any{next}
	},
}).ToModel()

// checkLimit is how long the search for an order may take.
const checkLimit = 20 * time.Second

// inOrder complains of a history that no order explains.
func (s *scene) inOrder(history []operation) {
	s.Helper()
	steps := make([]porcupine.Operation, len(history))
	for i, o := range history {
		steps[i] = porcupine.Operation{Input: o, Call: o.call, Return: o.answer}
		if errors.Is(o.outcome, dedup.ErrUnsettled) {
			steps[i].Return = math.MaxInt64
		}
	}
	result, info := porcupine.CheckOperationsVerbose(model, steps, checkLimit)
	if result == porcupine.Ok {
		return
	}
	var longest []int // the most that have an order
	for _, partition := range info.PartialLinearizations() {
		for _, partial := range partition {
			if len(partial) > len(longest) {
				longest = partial
			}
		}
	}
	var lines []string
	for i, o := range history {
		mark := " "
		if !slices.Contains(longest, i) {
			mark = "!"
		}
		lines = append(lines, mark+o.String())
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[1:], b[1:]) }) // by the call
	odd := max(0, slices.IndexFunc(lines, func(line string) bool { return line[0] == '!' }))
	s.Errorf("no order of what was done to a shard explains what its owners saw (%s); an order was found up to those marked !:\n%s",
		result, strings.Join(lines[max(0, odd-30):min(len(lines), odd+10)], "\n"))
}
