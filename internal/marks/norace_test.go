//go:build !race

package marks

// checks is how often each property is checked.
const checks = "10000"
