// Package planted names the faults that are planted to see that the tests notice. In a build without the tag "planted" there is none: [Is] is false for
// the compiler too, which leaves out what it guards.
package planted

// Fault names a clause of the protocol that a build with the tag "planted" can break.
type Fault string
