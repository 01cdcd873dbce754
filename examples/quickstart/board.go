package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// snapshot is what the board shows.
type snapshot struct {
	elapsed               time.Duration
	records, put, applied int
	rate                  float64 // records applied a second
	workers               []state
}

// state is one worker.
type state struct {
	name    string
	fate    string // "" while it runs
	shards  []string
	applied int
}

// lag is how many records are put and not applied. A producer may have put some twice.
func (s snapshot) lag() int { return max(0, s.put-s.applied) }

func (s snapshot) summary() string {
	return fmt.Sprintf("%3.0f s  put %d  applied %d of %d  %.0f/s  lag %d", s.elapsed.Seconds(), s.put, s.applied, s.records, s.rate, s.lag())
}

// line is the snapshot as one line.
func (s snapshot) line() string {
	var b strings.Builder
	b.WriteString(s.summary())
	for _, w := range s.workers {
		fmt.Fprintf(&b, "  %s", w.name)
		if w.fate != "" {
			fmt.Fprintf(&b, " (%s)", w.fate)
		}
		fmt.Fprintf(&b, ": %s", cmp.Or(strings.Join(w.shards, " "), "–"))
	}
	return b.String()
}

// lines is the snapshot as a table.
func (s snapshot) lines() []string {
	const bar = 40
	done := 0
	if s.records > 0 {
		done = min(bar, bar*s.applied/s.records)
	}
	lines := []string{
		s.summary(),
		"       " + strings.Repeat("█", done) + strings.Repeat("░", bar-done),
	}
	for _, w := range s.workers {
		lines = append(lines, fmt.Sprintf("       %-10s %-18s %8d records  shards %s",
			w.name, cmp.Or(w.fate, "running"), w.applied, cmp.Or(strings.Join(w.shards, " "), "–")))
	}
	return lines
}

// board shows how a run goes: on a terminal in one place, redrawn, and elsewhere by a line now and then.
type board struct {
	out   io.Writer
	width func() int // of the terminal, in columns; nil: there is none

	drawn int           // lines on the terminal that the next drawing replaces
	last  time.Duration // when the last plain line was printed
	begun bool
}

func newBoard(out *os.File) *board {
	b := &board{out: out}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		b.width = func() int {
			width, _, err := term.GetSize(fd)
			if err != nil {
				return 80
			}
			return width
		}
	}
	return b
}

// plainEvery is between two plain lines.
const plainEvery = 2 * time.Second

// show brings the board up to date.
func (b *board) show(s snapshot) {
	if b.width != nil {
		var text strings.Builder
		lines := s.lines()
		for _, line := range lines {
			fmt.Fprintln(&text, cut(line, b.width()))
		}
		b.replace(text.String())
		b.drawn = len(lines)
		return
	}
	if b.begun && s.elapsed-b.last < plainEvery {
		return
	}
	b.begun, b.last = true, s.elapsed
	fmt.Fprintln(b.out, s.line())
}

// event prints something that happened, above the board. The next show draws the board again.
func (b *board) event(elapsed time.Duration, format string, args ...any) {
	b.replace(fmt.Sprintf("%3.0f s  %s\n", elapsed.Seconds(), fmt.Sprintf(format, args...)))
}

// clear takes the board off the terminal.
func (b *board) clear() { b.replace("") }

// replace prints in the place of what was drawn, by one write, so that nothing flickers.
func (b *board) replace(text string) {
	if b.drawn > 0 {
		text = fmt.Sprintf("\x1b[%dA\x1b[J", b.drawn) + text // up so many lines, and erase from there
		b.drawn = 0
	}
	fmt.Fprint(b.out, text)
}

// cut keeps a line from being wrapped, which would make it two.
func cut(line string, width int) string {
	if runes := []rune(line); len(runes) > width && width > 0 {
		return string(runes[:width])
	}
	return line
}
