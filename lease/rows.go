package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// head is what a store keeps of a row beside its value.
type head struct {
	key     string
	version uint64 // 0: the row does not exist
	cursor  string
}

func headOf(r Row) head { return head{r.Key, r.Version, r.Cursor} }

// quietly makes a row that keeps its place in listings of changes.
func (h head) quietly(value []byte) Row {
	return Row{Key: h.key, Version: h.version, Cursor: h.cursor, Value: value}
}

// listed makes a row whose change others shall see.
func (h head) listed(value []byte) Row { return Row{Key: h.key, Version: h.version, Value: value} }

// The states of a session and of a shard.
const (
	alive = "A"
	dead  = "D"

	open  = "open"
	ended = "ended"
)

// maxExpiry is far above every sensible one.
const maxExpiry = 24 * time.Hour

// sessionRow is one start of a process.
type sessionRow struct {
	head

	HB       uint64          // a fresh one with every sending
	State    string          // alive, dead
	Draining bool            // it gives up its shards and takes none
	Expiry   int64           // milliseconds that its heartbeat may stand still, by its own Timing
	Meta     json.RawMessage // for people

	others unknown
}

func (r *sessionRow) fields() []field {
	return []field{{"hb", &r.HB}, {"state", &r.State}, {"draining", &r.Draining}, {"expiry", &r.Expiry}, {"metadata", &r.Meta}}
}

func (r *sessionRow) encode() []byte { return encodeFields(r.fields(), r.others) }

// app is the application whose workers remove the row when the session is dead, "" if it does not say.
func (r *sessionRow) app() string {
	var meta map[string]string
	if json.Unmarshal(r.Meta, &meta) != nil {
		return "" // it is for people, and may be anything
	}
	return meta[sessionApp]
}

// patience is how long the heartbeat must stand still for a worker whose own expiry is given: workers with another Timing may run in the same
// application while it is being changed, and each relies on its own.
func (r *sessionRow) patience(expiry time.Duration) time.Duration {
	return max(expiry, time.Duration(r.Expiry)*time.Millisecond)
}

func decodeSession(row Row) (sessionRow, error) {
	r := sessionRow{head: headOf(row)}
	var err error
	if r.others, err = decodeFields(row, r.fields()); err != nil {
		return sessionRow{}, corrupt(row.Key, err)
	}
	if r.State != alive && r.State != dead {
		return sessionRow{}, corrupt(row.Key, fmt.Errorf("state is %q, want %s or %s", r.State, alive, dead))
	}
	if r.HB == 0 {
		return sessionRow{}, corrupt(row.Key, errors.New("hb is 0 or missing"))
	}
	if r.Expiry < 0 || r.Expiry > maxExpiry.Milliseconds() {
		return sessionRow{}, corrupt(row.Key, fmt.Errorf("expiry %d ms is out of range", r.Expiry))
	}
	return r, nil
}

// memberRow says by being there that a session takes part in the application.
type memberRow struct {
	head

	Worker   string
	Zone     string
	ByWeight bool     // it wants shards shared out by their weight: they are if all want it
	Stuck    []string // shards on which a handler of an earlier session of this process still runs: it cannot take them
	Drain    bool     // an operator's word: it shall have no shards

	others unknown
}

func (r *memberRow) fields() []field {
	return []field{{"worker", &r.Worker}, {"zone", &r.Zone}, {"byWeight", &r.ByWeight}, {"stuck", &r.Stuck}, {"drain", &r.Drain}}
}

func (r *memberRow) encode() []byte { return encodeFields(r.fields(), r.others) }

func decodeMember(row Row) (memberRow, error) {
	r := memberRow{head: headOf(row)}
	var err error
	if r.others, err = decodeFields(row, r.fields()); err != nil {
		return memberRow{head: headOf(row)}, corrupt(row.Key, err) // which says nothing, and takes part all the same
	}
	return r, nil
}

// says tells whether the row has all that a session has to say of itself; an operator's word is not the session's.
func (r *memberRow) says(own memberRow) bool {
	return r.version != 0 && r.Worker == own.Worker && r.Zone == own.Zone && r.ByWeight == own.ByWeight && slices.Equal(r.Stuck, own.Stuck)
}

// maxEpoch leaves room above every epoch that is read.
const maxEpoch = 1 << 62

// shardRow is a shard's lease. It carries the position, so that one conditional write advances and fences it.
type shardRow struct {
	head
	ID string // from the key

	Owner      string // a session, or "" for nobody
	Epoch      uint64 // rises with each take
	Generation uint64 // rises with each reset
	Position   checkpoint.Position
	Ahead      checkpoint.Ahead // behind Position, and stored with it
	State      string           // open, ended
	Next       string           // the session that it is handed to
	Request    json.RawMessage  // what an operator asks: a [request]
	Parents    []string
	Children   []string
	Start      checkpoint.Start // where to begin while there is no position; never LATEST
	Closed     bool             // as it was when the row was made
	Meta       string
	Rate       uint64 // bytes a second, roughly: what the last owner found
	Zone       string // where it was last worked on

	others unknown
}

func (r *shardRow) fields() []field {
	return []field{
		{"owner", &r.Owner}, {"epoch", &r.Epoch}, {"generation", &r.Generation}, {"position", &r.Position}, {"state", &r.State},
		{"next", &r.Next}, {"request", &r.Request}, {"parents", &r.Parents}, {"children", &r.Children}, {"start", &r.Start},
		{"closed", &r.Closed}, {"meta", &r.Meta}, {"rate", &r.Rate}, {"zone", &r.Zone}, {"ahead", &r.Ahead},
	}
}

func (r *shardRow) encode() []byte {
	fields := r.fields()
	if r.Ahead.IsZero() {
		fields = fields[:len(fields)-1] // most rows have none, and are read and written all the time
	}
	return encodeFields(fields, r.others)
}

// row is r to be written: listed if others shall hear of it.
func (r *shardRow) row(listed bool) Row {
	if listed {
		return r.listed(r.encode())
	}
	return r.quietly(r.encode())
}

func decodeShard(row Row) (shardRow, error) {
	r := shardRow{head: headOf(row)}
	var err error
	if r.ID, err = shardID(row.Key); err != nil {
		return shardRow{}, corrupt(row.Key, err)
	}
	if r.others, err = decodeFields(row, r.fields()); err != nil {
		return shardRow{}, corrupt(row.Key, err)
	}
	if string(r.Request) == "null" {
		r.Request = nil
	}
	if err := r.check(); err != nil {
		return shardRow{}, corrupt(row.Key, err)
	}
	return r, nil
}

func (r *shardRow) check() error {
	switch {
	case r.State != open && r.State != ended:
		return fmt.Errorf("state is %q, want %s or %s", r.State, open, ended)
	case r.State == ended && r.Owner != "":
		return fmt.Errorf("it is %s and owned by %s", ended, r.Owner)
	case r.Owner != "" && r.Epoch == 0:
		return fmt.Errorf("it is owned by %s in epoch 0", r.Owner)
	case r.Epoch > maxEpoch:
		return fmt.Errorf("epoch %d is out of range", r.Epoch)
	case r.Start.Kind() == checkpoint.StartLatest:
		return errors.New("start is LATEST, which is no place")
	}
	return nil
}

// progress is what is stored of the work on it.
func (r *shardRow) progress() progress { return progress{r.Position, r.Ahead} }

// begin is where a new owner begins.
func (r *shardRow) begin() checkpoint.Start {
	if r.Position.IsZero() {
		return r.Start
	}
	return checkpoint.After(r.Position)
}

// appRow is the application.
type appRow struct {
	head

	Stream      string
	Incarnation string
	Generation  uint64
	Floor       uint64           // no epoch is handed out up to here
	Start       checkpoint.Start // where shards start that no shard of ours came before; LATEST until the lister has pinned it
	Paused      bool
	Lister      string // the session that lists the shards for all
	Claims      uint64 // rises when Lister says that it is still there
	Listed      bool   // every shard of a first complete listing has its row
	History     string // of the store, if it tells: another one may have forgotten what this one acknowledged
	Reset       *resetting

	others unknown
}

func (r *appRow) fields() []field {
	return []field{
		{"stream", &r.Stream}, {"incarnation", &r.Incarnation}, {"generation", &r.Generation}, {"floor", &r.Floor}, {"start", &r.Start},
		{"paused", &r.Paused}, {"lister", &r.Lister}, {"claims", &r.Claims}, {"listed", &r.Listed}, {"history", &r.History}, {"reset", &r.Reset},
	}
}

func (r *appRow) encode() []byte { return encodeFields(r.fields(), r.others) }

func decodeApp(row Row) (appRow, error) {
	r := appRow{head: headOf(row)}
	var err error
	if r.others, err = decodeFields(row, r.fields()); err != nil {
		return appRow{}, corrupt(row.Key, err)
	}
	if r.Stream == "" {
		return appRow{}, corrupt(row.Key, errors.New("stream is empty or missing"))
	}
	if r.Floor > maxEpoch {
		return appRow{}, corrupt(row.Key, fmt.Errorf("floor %d is out of range", r.Floor))
	}
	return r, nil
}
