//go:build race

package sim_test

// few is how many worlds are run where nobody says: the race detector makes each ten times as long, and one thing happens at a time.
const few = 4
