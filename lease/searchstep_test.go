//go:build !race

package lease

import "fmt"

// op is a kind of step.
type op uint8

const (
	opTime op = iota
	opSlowTime
	opBear
	opDrop
	opLand
	opJoin
	opJoinLook
	opBeat
	opLook
	opLeave
	opCrash
	opKill
	opRemove
	opList
	opRead
	opTake
	opTakeRead
	opTakeDrop
	opFree
	opHandle
	opCheckpoint
	opRelease
	opReleaseAgain
	opBorn
	opEnd
	opReread
	opLapse
	opGiveUp
	opReturned
	ops
)

var opNames = [ops]string{
	"a unit of time passes", "a unit of time passes, and the clock stands still", "the child gets a row", "the late write is lost", "the late write lands", "join",
	"reads its row: joined", "heartbeat", "reads its session's row", "leaves: removes its session's row", "crashes", "is killed by another",
	"its row is removed", "lists the sessions", "reads the row, and then the evidence", "take", "reads the row: taken", "lets the take be", "frees the row", "handles a record", "checkpoint",
	"release", "release again", "reads the child's row", "END", "reads the row again", "sees that it is not valid", "gives up", "the handler returns",
}

// outcome is what becomes of a write, and what its sender is told.
type outcome uint8

const (
	isDone outcome = iota
	isAcked
	isUnanswered // applied, and the answer is lost or a conflict: the client retried its own success
	isTwice      // likewise, and a copy may still land
	isLate
	isNeverSent
	isRefused
	outcomes
)

var outcomeNames = [outcomes]string{
	"", ": applied", ": applied, and the answer is lost", ": applied, the answer is lost, and a copy is on its way", ": no answer, and it is on its way",
	": no answer, and it is lost", ": refused",
}

func (s step) String() string {
	who := string(rune('A'+s.by)) + " "
	if s.op <= opBear && s.op != opSlowTime {
		who = "- "
	}
	return fmt.Sprint(who, opNames[s.op], outcomeNames[s.got])
}

// fairly are the steps that a world makes in which nothing fails any more, the most urgent first.
var fairly = []step{
	{op: opDrop}, {op: opReturned}, {op: opLapse}, {op: opReread}, {op: opJoinLook}, {op: opJoin, got: isAcked}, {op: opLook},
	{op: opBeat, got: isAcked}, {op: opReleaseAgain, got: isAcked}, {op: opHandle}, {op: opBorn}, {op: opEnd, got: isAcked}, {op: opTakeRead}, {op: opTake, got: isAcked},
	{op: opRead}, {op: opTakeDrop}, {op: opKill}, {op: opBear}, {op: opTime},
}

var fairRanks = func() (ranks [ops][outcomes]int) {
	for op := range ranks {
		for got := range ranks[op] {
			ranks[op][got] = len(fairly)
		}
	}
	for rank, s := range fairly {
		ranks[s.op][s.got] = rank
	}
	return ranks
}()

func (s step) fairRank() int { return fairRanks[s.op][s.got] }
