// Package letterstest is the conformance suite of stores of dead letters.
package letterstest
