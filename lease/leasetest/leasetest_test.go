package leasetest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder stands in for the test of a store that is expected to fail.
type recorder struct {
	*testing.T

	mu     sync.Mutex
	faults []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// faults runs one case on a store, in virtual time, and returns what it found.
func faults(t *testing.T, name string, newStore func() lease.Store) (found []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range cases {
			if c.name != name {
				continue
			}
			r := &recorder{T: t}
			var wg sync.WaitGroup
			wg.Go(func() { c.run(newScene(r, newStore())) })
			wg.Wait()
			found = r.faults
			return
		}
		t.Fatalf("no case is called %q", name)
	})
	return found
}

func TestASoundStorePasses(t *testing.T) {
	for _, c := range cases {
		if found := faults(t, c.name, func() lease.Store { return memlease.New() }); found != nil {
			t.Errorf("%s: %s", c.name, strings.Join(found, "; "))
		}
	}
}

func TestEachFaultIsCaught(t *testing.T) {
	for _, b := range slices.Concat(brokenWriters, brokenReaders) {
		for _, name := range b.caughtBy {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				found := faults(t, name, func() lease.Store { return b.make(memlease.New()) })
				if found == nil {
					t.Fatalf("the case %q passes on a store that %s", name, b.name)
				}
				t.Log(found[0])
			})
		}
	}
}

func TestEachCaseCanFail(t *testing.T) {
	catches := map[string]bool{}
	for _, b := range slices.Concat(brokenWriters, brokenReaders) {
		for _, name := range b.caughtBy {
			catches[name] = true
		}
	}
	for _, c := range cases {
		if !catches[c.name] {
			t.Errorf("no broken store shows that the case %q can fail", c.name)
		}
	}
}
