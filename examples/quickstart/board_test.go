package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var someWorkers = []state{
	{name: "worker-1", shards: []string{"0", "2"}, applied: 300},
	{name: "worker-2", fate: "died at 3 s", shards: []string{"1"}, applied: 150},
	{name: "worker-3"},
}

func at(elapsed time.Duration) snapshot {
	return snapshot{elapsed: elapsed, records: 1_000, put: 700, applied: 450, rate: 123.4, workers: someWorkers}
}

func TestBoardInPlainLines(t *testing.T) {
	var out bytes.Buffer
	b := &board{out: &out}
	for elapsed := time.Duration(0); elapsed <= 4*time.Second; elapsed += lookEvery {
		b.show(at(elapsed))
		if elapsed == 3*time.Second {
			b.event(elapsed, "killed %s", "worker-2")
		}
	}
	const want = `  0 s  put 700  applied 450 of 1000  123/s  lag 250  worker-1: 0 2  worker-2 (died at 3 s): 1  worker-3: –
  2 s  put 700  applied 450 of 1000  123/s  lag 250  worker-1: 0 2  worker-2 (died at 3 s): 1  worker-3: –
  3 s  killed worker-2
  4 s  put 700  applied 450 of 1000  123/s  lag 250  worker-1: 0 2  worker-2 (died at 3 s): 1  worker-3: –
`
	if out.String() != want {
		t.Errorf("the board printed\n%s\nwant\n%s", out.String(), want)
	}
}

// terminal understands as much as the board asks of one.
type terminal struct{ lines []string }

func (t *terminal) Write(text []byte) (int, error) {
	for rest := string(text); rest != ""; {
		if after, is := strings.CutPrefix(rest, "\x1b["); is {
			up, tail, _ := strings.Cut(after, "A\x1b[J")
			n, err := strconv.Atoi(up)
			if err != nil {
				return 0, err
			}
			t.lines = t.lines[:len(t.lines)-n]
			rest = tail
			continue
		}
		line, tail, _ := strings.Cut(rest, "\n")
		t.lines = append(t.lines, line)
		rest = tail
	}
	return len(text), nil
}

func TestBoardOnATerminal(t *testing.T) {
	var screen terminal
	b := &board{out: &screen, width: func() int { return 64 }}
	b.show(at(1 * time.Second))
	b.event(2*time.Second, "killed worker-2")
	b.show(at(2 * time.Second))
	b.show(at(3 * time.Second))
	want := []string{
		"  2 s  killed worker-2",
		"  3 s  put 700  applied 450 of 1000  123/s  lag 250",
		"       ██████████████████░░░░░░░░░░░░░░░░░░░░░░",
		"       worker-1   running                 300 records  shards 0 ",
		"       worker-2   died at 3 s             150 records  shards 1",
		"       worker-3   running                   0 records  shards –",
	}
	if got := strings.Join(screen.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	b.clear()
	if len(screen.lines) != 1 {
		t.Errorf("after the board was cleared the screen shows %q", screen.lines)
	}
}

func TestBoardOfAPipeIsPlain(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if newBoard(w).width != nil {
		t.Error("a pipe is taken for a terminal")
	}
}
