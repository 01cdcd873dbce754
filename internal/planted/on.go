//go:build planted

package planted

import "sync/atomic"

var now atomic.Value

// Plant has one fault break its clause from now on, and "" none. It is not for several runs at once that differ in it.
func Plant(f Fault) { now.Store(f) }

// Is tells whether a fault is planted.
func Is(f Fault) bool { return f == now.Load() }
