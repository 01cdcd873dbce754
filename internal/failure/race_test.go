//go:build race

package failure_test

// checks is how often each property is checked: the race detector makes each some twenty times as long, and there is one goroutine.
const checks = "300"
