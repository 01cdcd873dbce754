package instants

import (
	"encoding/json"
	"os"
)

// Variable is the environment variable that has a process tell and obey. It holds a [Task].
const Variable = "RUNNEL_INSTANTS"

// Task says who is told of.
type Task struct {
	Worker   string
	Unmarked bool // there are no marks: effects are made as often as records are delivered
}

// Env is a variable of the environment with the task.
func (t Task) Env() (string, error) {
	text, err := json.Marshal(t)
	return Variable + "=" + string(text), err
}

// Instant is a place in a call.
type Instant string

// The instants, in their order.
const (
	Sealed    Instant = "sealed"    // the shard is sealed, and nothing of it is read
	Before    Instant = "before"    // a call has records, and nothing is done
	Inside    Instant = "inside"    // all effects of a call are made, and not committed
	Committed Instant = "committed" // they are, and nobody acts on that
	Advanced  Instant = "advanced"  // low has moved, and the lease's position has not
)

// Kind says what happened in an [Event].
type Kind string

// What is told.
const (
	Seal    Kind = "seal"    // the shard is sealed; Ahead: above the lease's position
	Deliver Kind = "deliver" // Records are to be applied
	Apply   Kind = "apply"   // they are, and Fresh of them had not been
	End     Kind = "end"     // the shard is passed as a whole
	Refuse  Kind = "refuse"  // a call was not done; Text is the error
	Reach   Kind = "reach"   // the call waits at Instant
)

// Event is what a worker tells. Only the fields that the kind needs are set.
type Event struct {
	Worker  string
	Kind    Kind
	Shard   string
	Epoch   uint64
	Records int     `json:",omitempty"`
	Fresh   int     `json:",omitempty"`
	Ahead   bool    `json:",omitempty"`
	Instant Instant `json:",omitempty"`
	Text    string  `json:",omitempty"`
}

// longest is less than what a pipe takes in one piece (PIPE_BUF, 4,096 bytes): all workers may write into one pipe.
const longest = 2000

// say writes an event to the standard output in one piece.
func say(e Event) {
	e.Text = e.Text[:min(len(e.Text), longest)]
	text, err := json.Marshal(e)
	if err == nil {
		_, err = os.Stdout.Write(append(text, '\n'))
	}
	if err != nil { // nobody would hear of it
		die()
	}
}

// die ends the process at once, as whoever watches it is gone.
func die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill() // there is nobody to tell
	}
}
