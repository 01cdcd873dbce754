//go:build race

package marks

// checks is how often each property is checked: the race detector makes each some twenty times as long, and there is one goroutine.
const checks = "300"
