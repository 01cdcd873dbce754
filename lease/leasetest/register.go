package leasetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// outcome is what the caller of an operation was told.
type outcome int

const (
	succeeded  outcome = iota
	conflicted         // another version is stored
	unanswered         // whatever else: a write may have been applied, or may still be
)

// register is what a key holds: version 0 if nothing.
type register struct {
	version uint64
	value   string
}

func (r register) String() string {
	if r.version == 0 {
		return "nothing"
	}
	return fmt.Sprintf("version %d, %s", r.version, r.value)
}

// operation is one on one key, as its caller saw it.
type operation struct {
	client       string
	verb         string // "get", "put" or "delete"
	version      uint64 // that a write named
	value        string // of a put, its own
	call, answer int64  // ticks of one clock for all callers
	outcome      outcome
	saw          register // by a get
	why          error    // it has no answer
	resent       bool     // it may have been sent more than once
}

func (o operation) String() string {
	var text string
	switch o.verb {
	case "get":
		text = "get"
	case "put":
		text = fmt.Sprintf("put %s over version %d", o.value, o.version)
	default:
		text = fmt.Sprintf("delete version %d", o.version)
	}
	switch {
	case o.outcome == conflicted:
		text += ": conflict"
	case o.outcome == unanswered:
		text += fmt.Sprintf(": may or may not be done, %v", o.why)
	case o.verb == "get":
		text += ": " + o.saw.String()
	default:
		text += ": done"
	}
	return fmt.Sprintf("%6d to %6d  %-9s %s", o.call, o.answer, o.client, text)
}

// after is what a write makes of r, if it names r's version.
func (o operation) after(r register) (register, bool) {
	switch {
	case r.version != o.version:
		return r, false
	case o.verb == "delete":
		return register{}, true
	default:
		return register{version: r.version + 1, value: o.value}, true
	}
}

// The checker is given three kinds of steps: a call that was answered; a write that may take effect at any later time, or never; and, at the end, one after which
// those that never did may be put aside.
type (
	answered operation
	possible operation
	end      struct{}
)

// world is a register, and whether the end has come.
type world struct {
	register
	ended bool
}

// model is a versioned register: each answered call takes effect in one instant between call and answer. The conflict of a write that may have been sent again can be with itself:
// then it took effect.
var model = porcupine.Model{
	Init: func() any { return world{} },
	Step: func(state, input, _ any) (bool, any) {
		w := state.(world)
		switch in := input.(type) {
		case end:
			w.ended = true
			return true, w
		case possible:
			if w.ended {
				return true, w
			}
			after, done := operation(in).after(w.register)
			return done, world{register: after}
		}
		o := operation(input.(answered))
		if o.verb == "get" {
			return o.saw == w.register, w
		}
		after, done := o.after(w.register)
		return done == (o.outcome == succeeded) || done && o.resent, world{register: after}
	},
}

// checkLimit is how long the search for an order may take.
const checkLimit = 20 * time.Second

// ordered tells what is wrong with the operations on one key, "" if there is an order that explains all that their callers saw.
func ordered(key string, operations []operation) string {
	var steps []porcupine.Operation
	var last int64
	for _, o := range operations {
		last = max(last, o.answer)
		if o.outcome != unanswered {
			steps = append(steps, porcupine.Operation{Input: answered(o), Call: o.call, Return: o.answer})
		}
	}
	answers := len(steps)
	for _, o := range operations {
		if o.outcome == unanswered {
			steps = append(steps, porcupine.Operation{Input: possible(o), Call: o.call, Return: math.MaxInt64})
		}
	}
	steps = append(steps, porcupine.Operation{Input: end{}, Call: last + 1, Return: last + 2})
	result, info := porcupine.CheckOperationsVerbose(model, steps, checkLimit)
	switch result {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("%d operations on %q were not put in order within %v: make histories shorter", len(operations), key, checkLimit)
	}
	var longest []int // the most steps that have an order
	for _, partition := range info.PartialLinearizations() {
		for _, partial := range partition {
			if len(partial) > len(longest) {
				longest = partial
			}
		}
	}
	var lines []string
	for i, step := range steps[:answers] {
		mark := " "
		if !slices.Contains(longest, i) {
			mark = "!"
		}
		lines = append(lines, mark+operation(step.Input.(answered)).String())
	}
	for _, o := range operations {
		if o.outcome == unanswered {
			lines = append(lines, " "+o.String())
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[1:], b[1:]) }) // by the call
	odd := max(0, slices.IndexFunc(lines, func(line string) bool { return line[0] == '!' }))
	from, to := max(0, odd-shownBefore), min(len(lines), odd+shownAfter)
	return fmt.Sprintf("no order of what was done to %q explains what the callers saw; an order was found up to those marked ! (%d operations before these, %d after them):\n%s",
		key, from, len(lines)-to, strings.Join(lines[from:to], "\n"))
}

// How much of a history is shown around the first operation that has no place in the order.
const (
	shownBefore = 30
	shownAfter  = 10
)
