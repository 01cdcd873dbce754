package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// Each thing that must not happen makes the result untrue, and is to be seen in the line.
func TestResultTellsWhatIsWrong(t *testing.T) {
	for _, wrong := range []struct{ name, sql, line string }{
		{"a record that is not there", `DELETE FROM records WHERE n = 5`, "applied 299 of 300 records, 1 lost, 0 applied twice, 0 redelivered, no worker killed"},
		{"a record that is there twice", `INSERT INTO records (tenure, position, voter, n) SELECT tenure, position, voter, n FROM records WHERE n = 5`, "applied 300 of 300 records, 0 lost, 1 applied twice, 0 redelivered, no worker killed"},
		{"a record that came late", `UPDATE records SET position = (SELECT max(position) FROM records) || '1' WHERE n = (
			SELECT min(n) FROM records GROUP BY voter HAVING count(*) > 1)`, "applied 300 of 300 records, 0 lost, 0 applied twice, 0 redelivered, no worker killed"},
		{"a vote too many", `UPDATE tally SET votes = votes + 1 WHERE candidate = 'Ada'`, "applied 300 of 300 records, 0 lost, 0 applied twice, 0 redelivered, no worker killed"},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			s := newScene(t, 300)
			s.apply(s.owner("worker-1", 1), s.batch(1, 1, 300))
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

// A producer that is interrupted may put votes once more, into a stream or a table: other records, of no effect. Into files it puts no vote twice, so
// there it is the source that gave them twice.
func TestResultTellsVotesInSeveralRecords(t *testing.T) {
	for _, c := range []struct {
		name         string
		o            options
		twice, again int
		holds        bool
	}{
		{"files", options{}, 50, 0, false},
		{"a Kinesis stream", options{kinesis: "votes"}, 0, 50, true},
		{"a table", options{dynamodb: "voters"}, 0, 50, true},
		{"a stream and a table", options{kinesis: "votes", dynamodb: "voters"}, 0, 50, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.records = 300
			s := newSceneOf(t, c.o)
			one := s.owner("worker-1", 1)
			s.apply(one, s.batch(1, 1, 300))
			again := s.batch(1, 1, 50)
			for i := range again {
				again[i].Position = checkpoint.Offset(uint64(1000 + i))
			}
			s.apply(one, again)
			res, err := s.run.result(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if res.applied != 300 || res.twice != c.twice || res.again != c.again {
				t.Errorf("%d applied, %d twice, %d again: want 300, %d, %d", res.applied, res.twice, res.again, c.twice, c.again)
			}
			if err := res.verdict(); errors.Is(err, errUntrue) == c.holds {
				t.Errorf("the verdict is %v: %s", err, res.line())
			}
		})
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
		"2 records hold votes of other records",
		"applied 100 of 100 records, 0 lost, 0 applied twice, 7 redelivered, takeover in 10.9 s\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
