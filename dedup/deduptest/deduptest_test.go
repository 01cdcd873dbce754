package deduptest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder stands in for the test of a sink that is expected to fail.
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

// found plays a case on sinks with a flaw, in each of its scopes and in virtual time, and returns what it found.
func found(t *testing.T, p promise, flaw string) (faults []string) {
	t.Helper()
	for _, scope := range p.scopes {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{T: t}
			var wg sync.WaitGroup
			wg.Go(func() { p.run(newScene(r, newStore(flaw).database(), scope, 300)) })
			wg.Wait()
			faults = append(faults, r.faults...)
		})
	}
	return faults
}

func TestASoundSinkPasses(t *testing.T) {
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) {
			if faults := found(t, p, ""); faults != nil {
				t.Error(strings.Join(faults, "; "))
			}
		})
	}
}

func TestEachFlawIsCaught(t *testing.T) {
	for _, f := range flaws {
		for _, name := range f.caughtBy {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				i := slices.IndexFunc(promises(), func(p promise) bool { return p.name == name })
				if i < 0 {
					t.Fatalf("no case is called %q", name)
				}
				faults := found(t, promises()[i], f.name)
				if strings.HasPrefix(name, "what callers see at once") { // by chance
					for n := 1; faults == nil && n < 20; n++ {
						faults = found(t, promises()[i], f.name)
					}
				}
				if faults == nil {
					t.Fatalf("the case %q passes with a sink that %s", name, f.name)
				}
				t.Logf("%.300s", faults[0])
			})
		}
	}
}

func TestEachCaseCanFail(t *testing.T) {
	catches := map[string]bool{}
	for _, f := range flaws {
		for _, name := range f.caughtBy {
			catches[name] = true
		}
	}
	for _, p := range promises() {
		if !catches[p.name] {
			t.Errorf("no flaw shows that the case %q can fail", p.name)
		}
	}
}
