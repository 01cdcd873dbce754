package leasetest

import (
	"fmt"
	"runtime"
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

// found runs one case on a store, in virtual time, and returns what it found.
func found(t *testing.T, name string, b subject) (faults []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var service lease.Store = memlease.New()
		if b.service != nil {
			service = b.service(memlease.New())
		}
		r := &recorder{T: t}
		run := func() { t.Errorf("no case is called %q", name) }
		for _, p := range promises {
			if p.name == name {
				run = func() { p.run(newScene(r, service)) }
			}
		}
		for _, p := range faultPromises {
			if p.name == name {
				w := &wire{service: service}
				f := Faulty{Store: w, Direct: service, Line: w}
				if b.client != nil {
					f.Store = b.client(w)
				}
				run = func() { p.runFaulty(r, f) }
			}
		}
		var wg sync.WaitGroup
		wg.Go(run)
		wg.Wait()
		faults = r.faults
	})
	return faults
}

// names are those of all cases.
func names() (names []string) {
	for _, p := range promises {
		names = append(names, p.name)
	}
	for _, p := range faultPromises {
		names = append(names, p.name)
	}
	return names
}

func TestASoundStorePasses(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			if faults := found(t, name, subject{}); faults != nil {
				t.Error(strings.Join(faults, "; "))
			}
		})
	}
}

func TestEachFaultIsCaught(t *testing.T) {
	for _, b := range subjects() {
		for _, name := range b.caughtBy {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				faults := found(t, name, b)
				if faults == nil {
					t.Fatalf("the case %q passes on a store that %s", name, b.name)
				}
				t.Log(faults[0])
			})
		}
	}
}

func TestEachCaseCanFail(t *testing.T) {
	catches := map[string]bool{}
	for _, b := range subjects() {
		for _, name := range b.caughtBy {
			catches[name] = true
		}
	}
	for _, name := range names() {
		if !catches[name] {
			t.Errorf("no broken store shows that the case %q can fail", name)
		}
	}
}
