// Package memletters keeps dead letters in memory, for tests, simulation and programs of one process.
//
//	store := memletters.New()
//
// Nothing bounds what it holds but the memory, payloads included, and nothing survives the process: a consumer that moves on after its letters were stored here loses them when
// the process ends. Its clock is time.Now, so that claims and parkings follow virtual time in a bubble of testing/synctest. It passes the suite of package letterstest, as every
// store does.
package memletters
