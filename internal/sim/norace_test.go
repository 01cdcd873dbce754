//go:build !race

package sim_test

// few is how many worlds are run where nobody says; make sim runs more.
const few = 100
