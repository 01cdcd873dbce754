package main

import (
	"fmt"
	"maps"
	"slices"
)

// findings are what a database holds beside what was put.
type findings struct {
	lost       int // lines that should stand and do not
	twice      int // lines that stand more often than once, counted as often as they are too many
	known      int // violations that are those lines
	violations []string
}

func (f *findings) violated(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
}

// verify holds what a database holds against what was put.
func verify(put []transfer, b books) *findings {
	f := &findings{}
	want := make(map[string]map[line]bool) // of each account
	balances := make(map[string]int64)
	add := func(account string, l line) {
		if want[account] == nil {
			want[account] = make(map[line]bool)
		}
		want[account][l] = true
		balances[account] += l.amount
	}
	for _, t := range put {
		add(t.From, line{t.name(), -t.Amount})
		add(t.To, line{t.name(), t.Amount})
	}
	total := int64(0)
	for _, account := range slices.Sorted(maps.Keys(want)) {
		f.statement(account, want[account], b.lines[account])
		f.order(account, put, b.lines[account])
		if b.balances[account] != balances[account] {
			f.violated("%s has the balance %d, and the transfers that were put make %d", account, b.balances[account], balances[account])
		}
	}
	for account, balance := range b.balances {
		total += balance
		if want[account] == nil {
			f.violated("%s is in the books, and nothing was put for it", account)
		}
	}
	if total != 0 {
		f.violated("all balances together are %d, want 0", total)
	}
	return f
}

// statement counts what stands in an account's statement.
func (f *findings) statement(account string, want map[line]bool, have []line) {
	n := make(map[line]int)
	for _, l := range have {
		n[l]++
		if !want[l] {
			f.violated("%s: a line of transfer %s over %d, which nobody put", account, l.transfer, l.amount)
		}
	}
	for l := range want {
		switch {
		case n[l] == 0:
			f.lost++
			f.known++
			f.violated("%s: transfer %s is lost", account, l.transfer)
		case n[l] > 1:
			f.twice += n[l] - 1
			f.known++
			f.violated("%s: transfer %s stands %d times", account, l.transfer, n[l])
		}
	}
}

// order looks at the order in which the transfers from an account stand for the first time.
func (f *findings) order(account string, put []transfer, have []line) {
	numbers := make(map[string]int)
	for _, t := range put {
		if t.From == account {
			numbers[t.name()] = t.Number
		}
	}
	seen, last := make(map[int]bool), 0
	for _, l := range have {
		n := numbers[l.transfer]
		if n == 0 || seen[n] {
			continue
		}
		seen[n] = true
		if n < last {
			f.violated("%s: transfer %d stands behind %d", account, n, last)
		}
		last = max(last, n)
	}
}
