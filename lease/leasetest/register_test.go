package leasetest

import (
	"strings"
	"testing"
)

// told makes the history of one key out of calls that follow one another, unless they overlap by the ticks that they are given.
func told(calls ...operation) []operation {
	for i := range calls {
		if calls[i].answer == 0 {
			calls[i].call, calls[i].answer = int64(10*i+1), int64(10*i+2)
		}
	}
	return calls
}

func got(version uint64, value string) operation {
	return operation{verb: "get", saw: register{version, value}}
}

func wrote(value string, over uint64, o outcome) operation {
	return operation{verb: "put", value: value, version: over, outcome: o}
}

func deleted(version uint64, o outcome) operation {
	return operation{verb: "delete", version: version, outcome: o}
}

func lasting(o operation, call, answer int64) operation {
	o.call, o.answer = call, answer
	return o
}

func TestWhatHasAnOrder(t *testing.T) {
	again := wrote("b", 1, conflicted)
	again.resent = true
	for name, c := range map[string]struct {
		calls []operation
		wrong bool
	}{
		"one after the other":                   {told(got(0, ""), wrote("a", 0, succeeded), got(1, "a"), deleted(1, succeeded), got(0, "")), false},
		"a stale read":                          {told(wrote("a", 0, succeeded), wrote("b", 1, succeeded), got(1, "a")), true},
		"a read during a write":                 {told(wrote("a", 0, succeeded), lasting(wrote("b", 1, succeeded), 12, 40), lasting(got(1, "a"), 20, 21), lasting(got(2, "b"), 22, 23)), false},
		"reads that go back":                    {told(wrote("a", 0, succeeded), lasting(wrote("b", 1, succeeded), 12, 40), lasting(got(2, "b"), 20, 21), lasting(got(1, "a"), 22, 23)), true},
		"two winners":                           {told(lasting(wrote("a", 0, succeeded), 1, 9), lasting(wrote("b", 0, succeeded), 2, 8)), true},
		"a lost update":                         {told(wrote("a", 0, succeeded), wrote("b", 1, succeeded), wrote("c", 1, succeeded)), true},
		"a conflict without a reason":           {told(wrote("a", 0, succeeded), wrote("b", 1, conflicted)), true},
		"a conflict with itself":                {told(wrote("a", 0, succeeded), again, got(2, "b")), false},
		"a conflict that was applied":           {told(wrote("a", 0, succeeded), wrote("b", 1, conflicted), got(2, "b")), true},
		"a delete of nothing":                   {told(deleted(0, succeeded), wrote("a", 0, succeeded), deleted(0, conflicted)), false},
		"no answer, applied":                    {told(wrote("a", 0, unanswered), got(1, "a")), false},
		"no answer, never applied":              {told(wrote("a", 0, unanswered), got(0, ""), wrote("b", 0, succeeded), got(1, "b")), false},
		"no answer, applied late":               {told(wrote("a", 0, unanswered), got(0, ""), got(0, ""), got(1, "a")), false},
		"no answer, applied over another":       {told(wrote("a", 0, unanswered), wrote("b", 0, succeeded), got(1, "a")), true},
		"no answer, applied and gone":           {told(wrote("a", 0, unanswered), got(1, "a"), got(0, "")), true},
		"no answer to a delete, applied late":   {told(wrote("a", 0, succeeded), deleted(1, unanswered), got(1, "a"), got(0, "")), false},
		"no answer to a delete of what is over": {told(wrote("a", 0, succeeded), deleted(1, unanswered), wrote("b", 1, succeeded), got(0, "")), true},
		"a value that nobody wrote":             {told(wrote("a", 0, succeeded), got(1, "x")), true},
	} {
		t.Run(name, func(t *testing.T) {
			if text := ordered("key", c.calls); (text != "") != c.wrong {
				t.Errorf("%q; want a complaint: %v", text, c.wrong)
			}
		})
	}
}

func TestAComplaintShowsWhatWasDone(t *testing.T) {
	calls := told(wrote("a", 0, succeeded), deleted(7, conflicted), wrote("b", 1, succeeded), got(1, "a"), wrote("c", 5, unanswered))
	for i := range calls {
		calls[i].client, calls[i].why = "caller 3", errBroken
	}
	text := ordered("orders/1", calls)
	for _, want := range []string{
		`"orders/1"`,
		" " + "     1 to      2  caller 3  put a over version 0: done\n",
		" " + "    11 to     12  caller 3  delete version 7: conflict\n",
		" " + "    21 to     22  caller 3  put b over version 1: done\n",
		"!" + "    31 to     32  caller 3  get: version 1, a\n",
		" " + "    41 to     42  caller 3  put c over version 5: may or may not be done, broken on purpose",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the complaint lacks %q:\n%s", want, text)
		}
	}
}
