//go:build !race

package failure_test

// checks is how often each property is checked.
const checks = "10000"
