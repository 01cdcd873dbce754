package deadletter

import (
	"strconv"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// Scope is whose letters they are: two applications, and two incarnations of a stream, never see each other's.
type Scope struct {
	App    string // the application
	Stream string // the stream's incarnation
}

// Letter is a record that could not be handled, with all that it takes to redo it.
type Letter struct {
	Scope
	Shard      string
	Position   checkpoint.Position
	Generation uint64 // of the shard, which a reset raises: letters of an older one are of records that were delivered again since
	Epoch      uint64 // in which it was written
	Key        string // by which records are ordered: what Config.Order.Key gave, else the record's own
	Arrived    time.Time

	Payload    []byte            // the record's data, or what the source's codec made of the record; whole
	Encoded    bool              // Payload is the codec's
	Attributes map[string]string // what else is to be known; nil: nothing

	Reason   Reason
	Attempts int      // how often it was handed out
	Errors   []string // the last failure, from the outermost error to its root
	Stack    string   // of the panic, if the last failure was one
	Failed   time.Time
	First    time.Time // when it first failed; Failed, if that was the only time
	Worker   string

	History []Failure // of redrives that failed, the oldest first
	Seq     uint64    // given by the store: letters of one key rise in the order in which they were first stored
}

// Reason is why a record became a letter.
type Reason string

// The reasons of a [Letter].
const (
	Attempts  Reason = "attempts"  // it was tried as often as it may be
	Age       Reason = "age"       // it is older than it may be
	Permanent Reason = "permanent" // the handler said that trying again cannot help
	Followed  Reason = "followed"  // it was never tried: its key was parked
)

// Failure is a redrive that failed.
type Failure struct {
	At     time.Time
	Worker string
	Errors []string
}

// ID names the letter: application, incarnation, shard, sortable position and generation. Storing a letter whose ID is there is storing nothing. It is a stored format and
// never changes: the parts are separated by a space, and a space or a percent sign inside one is percent-encoded.
func (l Letter) ID() string {
	escape := strings.NewReplacer("%", "%25", " ", "%20").Replace
	return strings.Join([]string{escape(l.App), escape(l.Stream), escape(l.Shard), l.Position.Sort(), strconv.FormatUint(l.Generation, 10)}, " ")
}
