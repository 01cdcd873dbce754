package sourcetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB // nil: what the suite does not use
	name       string
	book       *book
	ctx        context.Context
	cancel     context.CancelFunc
	cleanups   []func()
}

// book is the failures and the logs of a run of the suite, by the names of its tests.
type book struct {
	mu       sync.Mutex
	failures map[string][]string
	logs     []string
}

// judge runs the suite and tells what it thinks of a driver.
func judge(ctx context.Context, d Driver) *book {
	b := &book{failures: make(map[string][]string)}
	root := &recorder{book: b}
	root.part(ctx, func() { run(root, d, part) })
	return b
}

// part runs a part of the suite as t.Run does, in a goroutine that ends with its first fatal failure.
func part(tb testing.TB, name string, f func(tb testing.TB)) {
	parent := tb.(*recorder)
	child := &recorder{book: parent.book, name: name}
	if parent.name != "" {
		child.name = parent.name + "/" + name
	}
	child.part(parent.ctx, func() { f(child) })
}

func (r *recorder) part(ctx context.Context, f func()) {
	r.ctx, r.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	r.cancel()
	for _, c := range slices.Backward(r.cleanups) {
		c()
	}
}

func (r *recorder) Helper()                           {}
func (r *recorder) Context() context.Context          { return r.ctx }
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatal(args ...any)                 { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }

func (r *recorder) Errorf(format string, args ...any) {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	r.book.failures[r.name] = append(r.book.failures[r.name], fmt.Sprintf(format, args...))
}

func (r *recorder) Logf(format string, args ...any) {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	r.book.logs = append(r.book.logs, fmt.Sprintf(format, args...))
}
