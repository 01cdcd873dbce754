package sqlletters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// lane is where the letters of a key are.
type lane struct {
	scope, place []byte
	key          string
}

func laneOf(s deadletter.Scope, key string) lane {
	return lane{scope: scopeOf(s), place: sqldialect.Bounded(key), key: key}
}

func scopeOf(s deadletter.Scope) []byte { return sqldialect.Scope(s.App, s.Stream) }

func (a lane) compare(b lane) int {
	if c := bytes.Compare(a.scope, b.scope); c != 0 {
		return c
	}
	return bytes.Compare(a.place, b.place)
}

// text is a string of any bytes in JSON and in a column of text.
type text = sqldialect.Text

func textsOf(all []string) (texts []text) {
	if all != nil {
		texts = make([]text, len(all))
	}
	for i, s := range all {
		texts[i] = text(s)
	}
	return texts
}

func stringsOf(texts []text) (all []string) {
	if texts != nil {
		all = make([]string, len(texts))
	}
	for i, t := range texts {
		all[i] = string(t)
	}
	return all
}

// head is a letter as the column letter has it, in JSON: all but its payload, its history and its number. It is a stored format.
type head struct {
	App        text                `json:"app"`
	Stream     text                `json:"stream"`
	Shard      text                `json:"shard"`
	Position   checkpoint.Position `json:"position,omitzero"`
	Generation uint64              `json:"generation,omitempty"`
	Epoch      uint64              `json:"epoch"`
	Key        text                `json:"key"`
	Arrived    time.Time           `json:"arrived"`
	Encoded    bool                `json:"encoded,omitempty"`
	Attributes map[string]text     `json:"attributes,omitzero"` // names encoded
	Reason     text                `json:"reason"`
	Attempts   int                 `json:"attempts"`
	Errors     []text              `json:"errors,omitzero"`
	Stack      text                `json:"stack,omitempty"`
	Failed     time.Time           `json:"failed"`
	First      time.Time           `json:"first"`
	Worker     text                `json:"worker"`
}

// failure is an element of the column history.
type failure struct {
	At     time.Time `json:"at"`
	Worker text      `json:"worker"`
	Errors []text    `json:"errors,omitzero"`
}

func failureOf(f deadletter.Failure) failure {
	return failure{f.At, text(f.Worker), textsOf(f.Errors)}
}

// columns are those of a letter that Put has made of it.
type columns struct {
	lane

	id            []byte
	head, history string
	payload       []byte
}

func columnsOf(l deadletter.Letter) (columns, error) {
	h := head{
		App: text(l.App), Stream: text(l.Stream), Shard: text(l.Shard), Position: l.Position, Generation: l.Generation, Epoch: l.Epoch, Key: text(l.Key), Arrived: l.Arrived,
		Encoded: l.Encoded, Reason: text(l.Reason), Attempts: l.Attempts, Errors: textsOf(l.Errors), Stack: text(l.Stack), Failed: l.Failed, First: l.First, Worker: text(l.Worker),
	}
	if l.Attributes != nil {
		h.Attributes = make(map[string]text, len(l.Attributes))
		for k, v := range l.Attributes {
			h.Attributes[text(k).Encoded()] = text(v)
		}
	}
	history := make([]failure, len(l.History))
	for i, f := range l.History {
		history[i] = failureOf(f)
	}
	c := columns{lane: laneOf(l.Scope, l.Key), id: sqldialect.Bounded(l.ID()), payload: l.Payload}
	if c.payload == nil {
		c.payload = []byte{}
	}
	var err error
	if c.head, err = encode(h); err == nil {
		c.history, err = encode(history)
	}
	if err != nil {
		err = fmt.Errorf("letter %q: %w", l.ID(), err)
	}
	return c, err
}

// encode leaves what people read as it is.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// decode makes the letter, without its payload.
func decode(seq int64, encoded, history string) (deadletter.Letter, error) {
	var h head
	var failures []failure
	if err := json.Unmarshal([]byte(encoded), &h); err != nil {
		return deadletter.Letter{}, fmt.Errorf("column letter of the row %d: %w", seq, err)
	}
	if err := json.Unmarshal([]byte(history), &failures); err != nil {
		return deadletter.Letter{}, fmt.Errorf("column history of the row %d: %w", seq, err)
	}
	l := deadletter.Letter{
		Scope: deadletter.Scope{App: string(h.App), Stream: string(h.Stream)}, Shard: string(h.Shard), Position: h.Position, Generation: h.Generation, Epoch: h.Epoch, Key: string(h.Key),
		Arrived: h.Arrived, Encoded: h.Encoded, Reason: deadletter.Reason(h.Reason), Attempts: h.Attempts, Errors: stringsOf(h.Errors), Stack: string(h.Stack),
		Failed: h.Failed, First: h.First, Worker: string(h.Worker), Seq: uint64(seq), //nolint:gosec // from 1
	}
	if h.Attributes != nil {
		l.Attributes = make(map[string]string, len(h.Attributes))
		for k, v := range h.Attributes {
			var name text
			if err := name.UnmarshalText([]byte(k)); err != nil {
				return deadletter.Letter{}, fmt.Errorf("attributes of the row %d: %w", seq, err)
			}
			l.Attributes[string(name)] = string(v)
		}
	}
	for _, f := range failures {
		l.History = append(l.History, deadletter.Failure{At: f.At, Worker: string(f.Worker), Errors: stringsOf(f.Errors)})
	}
	return l, nil
}
