//go:build !planted

package planted

// Is tells whether a fault is planted: never, without the tag.
func Is(Fault) bool { return false }
