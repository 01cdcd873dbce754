// Package planted names the faults that are planted to see that the tests notice. In a build without the tag "planted" there is none: [Is] is false for
// the compiler too, which leaves out what it guards.
package planted

// Fault names a clause of the protocol that a build with the tag "planted" can break, by what is done instead.
type Fault string

// Faults of package lease.
const (
	SameBeat        Fault = "a heartbeat is retried without a fresh value"
	LastSending     Fault = "a session is valid from its last sending, not from the first of the one that was acknowledged"
	OwnExpiry       Fault = "an owner is valid for the whole expiry"
	OneClock        Fault = "an owner looks at the monotonic clock alone"
	WallClock       Fault = "an owner looks at the wall clock alone"
	TakeUnheard     Fault = "a session is valid with its join, before a heartbeat was acknowledged"
	BlindBeat       Fault = "a worker heartbeats although its polls fail"
	EagerKill       Fault = "a session is killed after half its expiry"
	BlindKill       Fault = "a session is killed without another look at its heartbeat"
	LiveRemoved     Fault = "the row of a live session is removed"
	LeaveEarly      Fault = "a session's row is removed while its handlers run"
	EvidenceFirst   Fault = "the evidence for a take is read before the row"
	TakeLiving      Fault = "a shard is taken from an owner that lives"
	TakeAsked       Fault = "a shard is taken that an operator has asked for"
	TakeRunning     Fault = "a shard is taken while a handler of it runs in the same process"
	MineAlone       Fault = "a row that names me is left alone"
	ConflictRefused Fault = "a conflict counts as a take that was refused"
	OneParent       Fault = "a child is taken after one of its two parents"
	ParentEpoch     Fault = "a child's epoch does not rise above its parents'"
	TakePosition    Fault = "the position that the take carried is not used"
	LatestAgain     Fault = "LATEST is asked for again by the next worker that lists"
	EpochIgnored    Fault = "owner and epoch are not compared"
	AnswerLost      Fault = "a write whose answer was lost counts as stored"
	OnAfterRelease  Fault = "an owner goes on after it sent a release"
	RunningFreed    Fault = "a shard is freed while a handler of it runs"
	EndFirst        Fault = "END is written before the rows of the children"
	CeilingQuota    Fault = "each member may keep ⌈S/W⌉ shards"
	NoSettle        Fault = "shards are moved without a settle delay"
	OwnedFreed      Fault = "an operator frees a row that a live worker owns"
	ParentFirst     Fault = "a reset treats parents before their descendants"
	GenerationKept  Fault = "a reset does not raise the generation"
	FloorKept       Fault = "a lease row is removed without raising the floor of epochs"
	RemovedEarly    Fault = "a lease row is removed before its children are past their start"
)

// Faults of the simulator's work on a lease, as a runner may have them.
const (
	ReleaseFirst Fault = "a shard is released before what is in flight has returned"
	Hole         Fault = "a position is stored above a record that is not done"
	NotValid     Fault = "a record is handed out without asking whether the lease is valid"
)

// Faults of order and of what becomes of records that fail, in the packages that decide about them or as a runner may have them.
const (
	TwoLanes     Fault = "records of one key are put into several lanes"
	OverHole     Fault = "the watermark passes a record that is not done"
	BisectSpends Fault = "a call that is halved spends an attempt"
	PanicDone    Fault = "a record whose handler panicked counts as done"
	LetterAfter  Fault = "a record that is given up counts as done before its letter is stored"
	ParkedLost   Fault = "keys that are parked are not learned by the next owner of a shard"
	UnparkEarly  Fault = "a key is free although a letter was appended meanwhile"
	AheadOthers  Fault = "what is done behind a position is applied to other records"
	AheadKept    Fault = "what is done behind a position is not stored with it"
)

// Faults of exactly-once effects, in internal/marks and memdedup or as a runner may have them.
const (
	MarkFirst       Fault = "a record is marked before its effect is made"
	MarkApart       Fault = "an effect and its mark are two transactions"
	SealEpoch       Fault = "the sink does not compare epochs"
	SealSession     Fault = "the sink does not compare sessions"
	MarkEqual       Fault = "a record counts as applied below a mark, and not at it"
	OlderAccepted   Fault = "the sink accepts an older generation"
	DoneEarly       Fault = "marks of keys are deleted above the position"
	SealLeftOut     Fault = "a shard is worked on without a seal"
	LaterOfBoth     Fault = "work resumes at the later of lease and sink"
	AdvanceAfter    Fault = "the lease's position moves before the sink's"
	FailOpen        Fault = "a record counts as done although the sink did not answer"
	NotBuried       Fault = "a record that is given up counts as done before the sink has passed it"
	EarlierUnseen   Fault = "what an earlier owner applied is not known for a repeat"
	ForgottenUnseen Fault = "an owner goes on above writes that the sink has forgotten"
	PendingVoid     Fault = "a letter counts as void while its record is with its owner"
)

// All is every fault that the simulator must notice. EvidenceFirst is none: it takes a reset between two reads of one take, which comes up too rarely.
var All = []Fault{
	SameBeat, LastSending, OwnExpiry, OneClock, WallClock, TakeUnheard, BlindBeat, EagerKill, BlindKill, LiveRemoved, LeaveEarly,
	TakeLiving, TakeAsked, TakeRunning, MineAlone, ConflictRefused, OneParent, ParentEpoch, TakePosition, LatestAgain,
	EpochIgnored, AnswerLost, OnAfterRelease, RunningFreed, EndFirst, CeilingQuota, NoSettle,
	OwnedFreed, ParentFirst, GenerationKept, FloorKept, RemovedEarly,
	ReleaseFirst, Hole, NotValid,
	TwoLanes, OverHole, BisectSpends, PanicDone, LetterAfter, ParkedLost, UnparkEarly, AheadOthers, AheadKept,
	MarkFirst, MarkApart, SealEpoch, SealSession, MarkEqual, OlderAccepted, DoneEarly, SealLeftOut, LaterOfBoth, AdvanceAfter, FailOpen, NotBuried, PendingVoid, EarlierUnseen, ForgottenUnseen,
}
