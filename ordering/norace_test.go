//go:build !race

package ordering

// checks is how often each property is checked.
const checks = "10000"
