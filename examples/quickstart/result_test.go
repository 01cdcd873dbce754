package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each thing that must not happen makes the result untrue, and is to be seen in the line.
func TestResultTellsWhatIsWrong(t *testing.T) {
	for _, wrong := range []struct{ name, sql, line string }{
		{"a record that is not there", `DELETE FROM records WHERE n = 5`, "applied 299 of 300 records, 1 lost, 0 applied twice, 0 redelivered, no worker killed"},
		{"a record that is there twice", `INSERT INTO records SELECT * FROM records WHERE n = 5`, "applied 300 of 300 records, 0 lost, 1 applied twice, 0 redelivered, no worker killed"},
		{"a vote too many", `UPDATE tally SET votes = votes + 1 WHERE candidate = 'Ada'`, "applied 300 of 300 records, 0 lost, 0 applied twice, 0 redelivered, no worker killed"},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			s := newScene(t, 300)
			s.apply(newTally(s.run.db, "worker-1"), s.batch(1, 1, 300))
			res, err := s.run.result(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := res.verdict(); err != nil {
				t.Fatalf("before anything is wrong: %v", err)
			}
			if _, err := s.run.db.ExecContext(t.Context(), wrong.sql); err != nil {
				t.Fatal(err)
			}
			if res, err = s.run.result(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := res.verdict(); !errors.Is(err, errUntrue) {
				t.Errorf("the verdict is %v", err)
			}
			if res.line() != wrong.line {
				t.Errorf("the line is %q, want %q", res.line(), wrong.line)
			}
		})
	}
}

// A vote that an interrupted producer put into the stream once more is another record of the same vote: applied once, and of no effect.
func TestResultTellsRecordsPutAgain(t *testing.T) {
	s := newScene(t, 300)
	one := newTally(s.run.db, "worker-1")
	s.apply(one, s.batch(1, 1, 200))
	again := s.batch(1, 201, 300) // it went on 50 votes too early
	for i := range again {
		again[i].vote = &s.votes[150+i]
	}
	s.apply(one, again)
	s.want(250, 0, 0)
	if res, err := s.run.result(t.Context()); err != nil || res.again != 50 {
		t.Errorf("%d records were put again (%v), want 50", res.again, err)
	}
}

func TestResultInPrint(t *testing.T) {
	r := result{
		records: 100, applied: 100, redelivered: 7, again: 2, other: 3, deaths: 1, took: 10_940 * time.Millisecond,
		votes: map[string]int{"Ada": 20, "Grace": 30}, truth: map[string]int{"Ada": 20, "Grace": 31},
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{
		"Grace              30       31  wrong\nAda                20       20\n",
		"3 records on the streams are not of this run",
		"2 records were put once more",
		"applied 100 of 100 records, 0 lost, 0 applied twice, 7 redelivered, takeover in 10.9 s\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
