package letterstest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
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
func found(t *testing.T, name string, made func(*memletters.Store) deadletter.Store) (faults []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{T: t}
		run := func() { t.Errorf("no case is called %q", name) }
		for _, p := range promises {
			if p.name == name {
				run = func() { p.run(Suite{Payload: 2 << 20}.scene(r, made(memletters.New()))) }
			}
		}
		var wg sync.WaitGroup
		wg.Go(run)
		wg.Wait()
		faults = r.faults
	})
	return faults
}

func TestASoundStorePasses(t *testing.T) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			if faults := found(t, p.name, func(s *memletters.Store) deadletter.Store { return s }); faults != nil {
				t.Error(strings.Join(faults, "; "))
			}
		})
	}
}

func TestEachFaultIsCaught(t *testing.T) {
	for _, b := range brokenStores() {
		for _, name := range b.caughtBy {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				faults := found(t, name, b.make)
				if faults == nil {
					t.Fatalf("the case %q passes on a store that %s", name, b.name)
				}
				t.Logf("%.300s", faults[0])
			})
		}
	}
}

func TestEachCaseCanFail(t *testing.T) {
	catches := map[string]bool{}
	for _, b := range brokenStores() {
		for _, name := range b.caughtBy {
			catches[name] = true
		}
	}
	for _, p := range promises {
		if !catches[p.name] {
			t.Errorf("no broken store shows that the case %q can fail", p.name)
		}
	}
}
