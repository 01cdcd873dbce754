package deduptest

import "github.com/runnelhq/runnel/dedup"

var (
	lanes   = []dedup.Scope{dedup.PerKey}
	ids     = []dedup.Scope{dedup.PerID}
	fenced  = []dedup.Scope{dedup.PerShard, dedup.PerKey}
	inEvery = []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}
)

// What a database may leave out.
var (
	refuses = func(d database) bool { return d.refuses }
	rows    = func(d database) bool { return d.rows != nil }
	saves   = func(d database) bool { return d.save != nil }
	answers = func(d database) bool { return d.loseAnswer != nil }
	writes  = func(d database) bool { return d.loseWrite != nil }
	loses   = func(d database) bool { return answers(d) || writes(d) }
	down    = func(d database) bool { return d.down != nil }
)

func promises() []promise {
	return []promise{
		{"the first seal takes the position of the lease", fenced, firstSeal, nil},
		{"low is kept across epochs", fenced, lowIsKept, nil},
		{"an owner may seal again", fenced, sealAgain, nil},
		{"a lower epoch does not seal", fenced, sealLower, nil},
		{"an older generation does not seal", fenced, sealOlder, nil},
		{"a newer generation begins anew", fenced, sealNewer, nil},
		{"a newer generation of a lower epoch does not seal", fenced, sealNewerLower, nil},
		{"the order of a shard waits until no mark of a key is left", lanes, sealOverLanes, nil},
		{"who has not sealed does not write", fenced, writeUnsealed, nil},
		{"who is of another generation does not write", fenced, writeOtherGeneration, nil},
		{"who was succeeded does not write", fenced, writeFenced, nil},
		{"a write under way is before the seal or not at all", fenced, sealWhileWriting, nil},
		{"a record is applied once", inEvery, applyOnce, nil},
		{"what is fresh of a call is handed over in order", inEvery, applySome, nil},
		{"a call without records does nothing", inEvery, applyNothing, nil},
		{"what the function refuses is undone", inEvery, functionFails, nil},
		{"what the database refuses is undone", inEvery, databaseRefuses, refuses},
		{"a panic is undone and reaches the caller", inEvery, functionPanics, nil},
		{"a record behind a later one is out of order", fenced, outOfOrder, nil},
		{"what was undone and comes behind a later one is out of order", fenced, rolledBackOutOfOrder, nil},
		{"what the database refused and comes behind a later one is out of order", fenced, refusedOutOfOrder, refuses},
		{"many records go in one call", inEvery, manyRecords, nil},
		{"an ended context is an error, and nothing is done", inEvery, endedContext, nil},
		{"a context that ends meanwhile leaves all or nothing", inEvery, contextEnds, nil},
		{"what is passed over is done", fenced, advanceOver, nil},
		{"low moves up only", fenced, advanceBack, nil},
		{"the end of a shard is kept", fenced, advanceToEnd, nil},
		{"marks of keys go with low", lanes, marksGo, rows},
		{"what is stored does not grow with records", fenced, storageIsBounded, rows},
		{"keys go side by side", lanes, sideBySide, nil},
		{"records without a key are ordered by nothing", lanes, alone, nil},
		{"keys may be any bytes", lanes, keysAreExact, nil},
		{"keys at once", lanes, lanesAtOnce, nil},
		{"positions are ordered as numbers and kept as texts", fenced, positions, nil},
		{"positions tell records apart", ids, positionsOfIDs, nil},
		{"shards, streams and applications do not meet", inEvery, apart, nil},
		{"what is buried is passed without an effect", inEvery, buryPasses, nil},
		{"what was applied is not buried", inEvery, buryApplied, nil},
		{"a burial behind a later record is out of order", fenced, buryOutOfOrder, nil},
		{"many records are buried in one call", inEvery, buryMany, nil},
		{"what was buried is redriven once", inEvery, redriveOnce, nil},
		{"a redrive that fails may be repeated", inEvery, redriveFails, nil},
		{"one of several redrives wins", inEvery, redriveRace, nil},
		{"what was not passed is pending", inEvery, redrivePending, nil},
		{"a letter is void when a newer generation has applied its record", inEvery, redriveOlder, nil},
		{"a letter below the start of a reset is kept", fenced, redriveBelowReset, nil},
		{"records in no order need no fence", ids, idsNeedNoFence, nil},

		{"trace: the sink stands behind the lease", fenced, sinkBehindLease, nil},
		{"trace: the sink is restored behind the lease", fenced, sinkRestored, saves},
		{"trace: the sink has forgotten the seal", fenced, sealForgotten, saves},
		{"trace: the sink has forgotten writes of its owner", fenced, writesForgotten, saves},
		{"trace: a shard is reset to an earlier position", fenced, resetEarlier, nil},
		{"trace: a crash above a record that was not finished", lanes, crashAboveUnfinished, nil},
		{"trace: a key of a parent at a high epoch, then of its child", fenced, parentAndChild, nil},
		{"trace: the table of leases is restored from a backup", fenced, leasesRestored, nil},
		{"trace: an epoch is handed out twice", fenced, epochTwice, nil},
		{"trace: a letter is stored, a crash, the record is applied, redrive", fenced, letterThenApplied, nil},
		{"trace: a letter is redriven before its record is buried", fenced, letterBeforeBurial, nil},
		{"trace: a commit that was done is in doubt, and a successor seals", fenced, losesAnswer(inDoubt), answers},
		{"trace: a commit that was not done is in doubt, and a successor seals", fenced, losesWrite(inDoubt), writes},

		{"what callers see at once has an order", fenced, linear, nil},
		{"an effect whose answer is lost stands once", inEvery, losesAnswer(loseApply), answers},
		{"an effect whose commit is lost stands once", inEvery, losesWrite(loseApply), writes},
		{"a burial whose answer is lost is one", inEvery, losesAnswer(loseBurial), answers},
		{"a burial whose commit is lost is one", inEvery, losesWrite(loseBurial), writes},
		{"a redrive whose answer is lost is one", inEvery, losesAnswer(loseRedrive), answers},
		{"a redrive whose commit is lost is one", inEvery, losesWrite(loseRedrive), writes},
		{"a seal whose answer is lost may be repeated", fenced, losesAnswer(loseSeal), answers},
		{"a seal whose commit is lost may be repeated", fenced, losesWrite(loseSeal), writes},
		{"an advance whose answer is lost may be repeated", fenced, losesAnswer(loseAdvance), answers},
		{"an advance whose commit is lost may be repeated", fenced, losesWrite(loseAdvance), writes},
		{"a database that is down does nothing, and is no record's fault", inEvery, downRefuses, down},
		{"an effect of a database that goes down stands once", inEvery, downMeanwhile, down},
		{"what callers see at once under faults has an order", fenced, linearUnderFaults, loses},
	}
}
