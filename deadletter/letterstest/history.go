package letterstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/backoff"
)

const (
	histories = 5
	callers   = 4
	steps     = 50 // of each caller
	slots     = 3  // letters of the key
)

// lane is what a key holds, by the model.
type lane struct {
	parked  bool
	letters [slots]int // 0: not there; else one more than its failures
}

// operation is a call on the key and what its caller was told.
type operation struct {
	verb         string // "put", "open", "append", "settle", "fail", "read" or "parked"
	slot         int
	call, answer int64 // ticks of one clock for all callers
	client       int
	refused      bool // ErrNotParked or ErrNoLetter
	saw          int  // by "read", as in a lane; by "parked" 1 if it is
}

func (o operation) String() string {
	return fmt.Sprintf("%5d to %5d  caller %d: %s of letter %d, refused %t, saw %d", o.call, o.answer, o.client, o.verb, o.slot, o.refused, o.saw)
}

// model is a key whose calls take effect in one instant each, between call and answer.
var model = porcupine.Model{
	Init: func() any { return lane{} },
	Step: func(state, input, _ any) (bool, any) {
		a, o := state.(lane), input.(operation)
		letter := &a.letters[o.slot]
		switch o.verb {
		case "read":
			return o.saw == *letter, a
		case "parked":
			return (o.saw == 1) == a.parked, a
		case "settle", "fail":
			if *letter == 0 || o.refused {
				return o.refused == (*letter == 0), a
			}
			if o.verb == "fail" {
				*letter++
				return true, a
			}
			*letter = 0
			a.parked = a.parked && a.letters != [slots]int{}
			return true, a
		case "append":
			if !a.parked || o.refused {
				return o.refused == !a.parked, a
			}
		case "open":
			a.parked = true
		}
		*letter = max(*letter, 1)
		return true, a
	},
}

// linear records what several callers do at once to one key.
func linear(s *scene) {
	for n := range histories {
		var (
			clock      atomic.Int64
			mu         sync.Mutex
			operations []porcupine.Operation
			wg         sync.WaitGroup
			key        = fmt.Sprintf("key %d", n)
			claim      = s.claimed(key, aLongClaim) // of all callers
		)
		for client := range callers {
			wg.Go(func() {
				for range steps {
					_ = backoff.Wait(s.Context(), rand.N(time.Millisecond))
					o := operation{verb: verbs[rand.IntN(len(verbs))], slot: rand.IntN(slots), client: client, call: clock.Add(1)}
					err := s.act(&o, claim)
					o.answer = clock.Add(1)
					if err != nil {
						s.Errorf("%s while others use the key: %v", o.verb, err)
						return
					}
					mu.Lock()
					operations = append(operations, porcupine.Operation{ClientId: client, Input: o, Call: o.call, Return: o.answer})
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		s.inOrder(operations)
	}
}

// settling is as frequent as storing, so that the key is empty now and then
var verbs = []string{"put", "open", "append", "append", "append", "settle", "settle", "settle", "settle", "fail", "read", "read", "parked", "parked"}

// act does what o says and notes what it was told. An error says nothing of the key.
func (s *scene) act(o *operation, c deadletter.Claim) (err error) {
	ctx, l := s.Context(), s.letter(c.Key, uint64(o.slot))
	switch o.verb {
	case "put":
		return s.store.Put(ctx, []deadletter.Letter{l})
	case "open":
		return s.store.Park(ctx, []deadletter.Letter{l}, true)
	case "append":
		err = s.store.Park(ctx, []deadletter.Letter{l}, false)
	case "settle":
		err = s.store.Settle(ctx, c, l.ID(), nil)
	case "fail":
		err = s.store.Settle(ctx, c, l.ID(), &deadletter.Failure{At: time.Unix(o.call, 0), Worker: "w"}) // each is another: the last one again may be its call repeated
	case "read":
		o.saw, err = s.failures(ctx, l)
	case "parked":
		for p, err := range s.store.Parked(ctx, s.scope) {
			if err != nil {
				return err
			}
			if p.Key == c.Key {
				o.saw = 1
			}
		}
	}
	if errors.Is(err, deadletter.ErrNotParked) || errors.Is(err, deadletter.ErrNoLetter) {
		o.refused, err = true, nil
	}
	return err
}

// failures is one more than a letter has, and 0 if it is not there.
func (s *scene) failures(ctx context.Context, l deadletter.Letter) (n int, err error) {
	for got, err := range s.store.Read(ctx, deadletter.Query{Scope: s.scope, Key: l.Key, ID: l.ID()}) {
		if err != nil {
			return 0, err
		}
		n += 1 + len(got.History)
	}
	return n, nil
}

// checkLimit is how long the search for an order may take.
const checkLimit = 20 * time.Second

func (s *scene) inOrder(operations []porcupine.Operation) {
	s.Helper()
	result, info := porcupine.CheckOperationsVerbose(model, operations, checkLimit)
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
	for i, o := range operations {
		mark := " "
		if !slices.Contains(longest, i) {
			mark = "!"
		}
		lines = append(lines, mark+o.Input.(operation).String())
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[1:], b[1:]) }) // by the call
	odd := max(0, slices.IndexFunc(lines, func(line string) bool { return line[0] == '!' }))
	s.Errorf("no order of what was done to a key explains what the callers saw (%s); an order was found up to those marked !:\n%s",
		result, strings.Join(lines[max(0, odd-30):min(len(lines), odd+10)], "\n"))
}
