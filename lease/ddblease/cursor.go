package ddblease

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// stampLayout has one width and sorts as the instants do, in UTC, until the year 9999.
const stampLayout = "2006-01-02T15:04:05.000000000Z"

// slack is how far a listing by cursor reaches back. It covers the difference of two writers' clocks, the time from a stamp to its
// write, retries included, and the index's lag behind the table. A row that changed within it is listed again, which costs a
// read; a change that came later than it is found by the next full listing.
const slack = 10 * time.Second

// stamp makes the cursor of a change: the instant by this host's clock, and what tells apart two writers of the same instant.
func stamp() string {
	return fmt.Sprintf("%s-%08x", time.Now().UTC().Format(stampLayout), rand.Uint32())
}

// Stamp is the cursor that a change would get now: see [lease.Stamper].
func (s *Store) Stamp() string { return stamp() }

// since is the instant from which the index is read for the changes after a cursor, as a cursor sorts. A cursor of the future, stamped by a clock
// that runs ahead, must not hide what writers with better clocks do. For a cursor that is no stamp it is "", before every change.
func since(after string) string {
	if len(after) < len(stampLayout) {
		return ""
	}
	at, err := time.Parse(stampLayout, after[:len(stampLayout)])
	if err != nil {
		return ""
	}
	if now := time.Now(); at.After(now) {
		at = now
	}
	return at.Add(-slack).UTC().Format(stampLayout)
}
