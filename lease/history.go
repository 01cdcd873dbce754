package lease

import "context"

// Historian is a [Store] that may forget what it acknowledged, as after a fail-over to a replica that lagged behind, and can tell. Package lease asks at each
// look at the store: with a history that is not the one it knows, nobody takes a shard for [Timing.Expiry], for the rows may not say who owns it.
type Historian interface {
	// History names the history that the store's rows are part of. As long as it is the same, everything that was acknowledged is there; it is never "".
	History(ctx context.Context) (string, error)
}
