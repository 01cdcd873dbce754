package lease

import "context"

// Historian is a [Store] that may forget acknowledged writes, and can tell that it may have: one that is replicated asynchronously, and fails over to a replica
// that has not heard of the last of them, or one that keeps nothing when it is started again.
//
// What is forgotten may be a take. Its owner works on, in an epoch that the storage now gives to another; and what was seen of heartbeats says nothing about
// those that were forgotten. So whoever acts on a Historian's rows asks for their history, before the reads that an act rests on and again once a take is acknowledged,
// before any work begins. If it is not what it was, nothing is taken, and nobody killed, until the sessions of the forgotten history have expired: for the whole expiry since
// the change was noticed. All observations begin anew then, and so do cursors.
type Historian interface {
	// History names the history of the rows of groups, each as in [Store.List]: while it is the same, every write to them that was acknowledged is there. A history
	// that has another name may have lost writes, and need not: a planned change of the master is not told from one that lost some. The name means nothing
	// else. While the answer is an error it is not known what was forgotten, and nothing may be taken.
	History(ctx context.Context, groups []string) (string, error)
}
