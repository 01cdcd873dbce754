//go:build engines

package integration

import (
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// goroutines has by their ids, of which no process gives one twice, what began each: see [beginning].
type goroutines map[uint64]string

// running are the goroutines of this process, without those of connections, of which there are as many as requests overlap.
func running() (goroutines, error) {
	stacks := make([]byte, 1<<16)
	n := runtime.Stack(stacks, true)
	for n == len(stacks) { // there may be more
		stacks = make([]byte, 2*n)
		n = runtime.Stack(stacks, true)
	}
	all := make(goroutines)
	for stack := range strings.SplitSeq(strings.TrimSpace(string(stacks[:n])), "\n\n") {
		number, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		id, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("no id is in %q: %w", stack, err)
		}
		if by := beginning(stack); by != "net/http.(*Transport).dialConn" {
			all[id] = by
		}
	}
	return all, nil
}

// beginning is the function that began the goroutine of a stack, or the one that it runs if a [sync.WaitGroup] began it.
func beginning(stack string) string {
	lines := strings.Split(stack, "\n") // a heading, and two for each call: its function, and indented its place
	last := len(lines) - 2
	by, begun := strings.CutPrefix(lines[last], "created by ")
	if !begun {
		return "the program"
	}
	by, _, _ = strings.Cut(by, " in goroutine ")
	if runs := last - 4; by == "sync.(*WaitGroup).Go" && runs > 0 { // it may have run nothing yet
		by = lines[runs][:strings.LastIndexByte(lines[runs], '(')]
	}
	return strings.TrimPrefix(by, "github.com/runnelhq/runnel/") // a worker's line is short
}

// begun counts by what began them those that are not among the earlier ones, and among the later.
func (g goroutines) begun(earlier, later goroutines) map[string]int {
	n := make(map[string]int)
	for id := range g {
		_, old := earlier[id]
		if by, stays := later[id]; stays && !old {
			n[by]++
		}
	}
	return n
}

// What was begun between two looks and is there at a third is told, once each and with what began it. What was there before, has ended or came later is not.
func TestGoroutinesThatStay(t *testing.T) {
	t.Parallel()
	look := func() goroutines {
		all, err := running()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	t.Cleanup(beginTwo())
	first := look()
	t.Cleanup(beginTwo())
	end := beginTwo()
	second := look()
	end()
	t.Cleanup(beginTwo())
	got := second.begun(first, look())
	maps.DeleteFunc(got, func(by string, _ int) bool { return !strings.HasPrefix(by, "integration.beginTwo") }) // other tests' are among them
	if want := map[string]int{"integration.beginTwo": 1, "integration.beginTwo.func1": 1}; !maps.Equal(got, want) {
		t.Errorf("%v stay, want %v", got, want)
	}
}

// beginTwo begins two goroutines, each in a way of its own, and gives what ends them.
func beginTwo() (end func()) {
	var group sync.WaitGroup
	ready, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	group.Go(func() {
		ready <- struct{}{}
		<-over
	})
	go func() {
		defer close(ended)
		ready <- struct{}{}
		<-over
	}()
	<-ready
	<-ready
	return func() {
		close(over)
		group.Wait()
		<-ended
	}
}
