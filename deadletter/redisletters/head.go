package redisletters

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

// head is what is kept of a letter beside its payload, its history, its number and what its place says. It is a stored format: fields may be added.
type head struct {
	Shard      text                `json:"shard"`
	Position   checkpoint.Position `json:"position"`
	Generation uint64              `json:"generation"`
	Epoch      uint64              `json:"epoch"`
	Key        text                `json:"key"`
	Arrived    time.Time           `json:"arrived"`
	Size       int                 `json:"size"` // of the payload, so that it is known before that is read
	Encoded    bool                `json:"encoded,omitempty"`
	Attributes [][2]text           `json:"attributes,omitempty"` // name and value, by name
	Reason     text                `json:"reason"`
	Attempts   int                 `json:"attempts"`
	Errors     []text              `json:"errors,omitempty"`
	Stack      text                `json:"stack,omitempty"`
	Failed     time.Time           `json:"failed"`
	First      time.Time           `json:"first"`
	Worker     text                `json:"worker"`
}

// failure is a line of a letter's history.
type failure struct {
	At     time.Time `json:"at"`
	Worker text      `json:"worker"`
	Errors []text    `json:"errors,omitempty"`
}

// text is a string of any bytes: in JSON a string, or {"base64": …} where it is not UTF-8, of which a string would lose some.
type text string

type encoded struct {
	Base64 []byte `json:"base64"`
}

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(encoded{[]byte(t)})
}

func (t *text) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("{")) {
		var e encoded
		err := json.Unmarshal(b, &e)
		*t = text(e.Base64)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}

func texts[To, From ~string](from []From) (to []To) {
	for _, s := range from {
		to = append(to, To(s))
	}
	return to
}

// encode gives a letter's head and history.
func encode(l deadletter.Letter) (headText, history []byte, err error) {
	h := head{
		Shard: text(l.Shard), Position: l.Position, Generation: l.Generation, Epoch: l.Epoch, Key: text(l.Key), Arrived: l.Arrived.UTC(),
		Size: len(l.Payload), Encoded: l.Encoded,
		Reason: text(l.Reason), Attempts: l.Attempts, Errors: texts[text](l.Errors), Stack: text(l.Stack), Failed: l.Failed.UTC(), First: l.First.UTC(), Worker: text(l.Worker),
	}
	for _, name := range slices.Sorted(maps.Keys(l.Attributes)) {
		h.Attributes = append(h.Attributes, [2]text{text(name), text(l.Attributes[name])})
	}
	if headText, err = json.Marshal(h); err != nil {
		return nil, nil, err
	}
	for _, f := range l.History {
		line, err := encodeFailure(f)
		if err != nil {
			return nil, nil, err
		}
		history = append(history, line...)
	}
	return headText, history, nil
}

func encodeFailure(f deadletter.Failure) ([]byte, error) {
	line, err := json.Marshal(failure{f.At.UTC(), text(f.Worker), texts[text](f.Errors)})
	return append(line, '\n'), err
}

// decode makes a letter of its fields, without payload, and tells the size of that.
func decode(scope deadletter.Scope, seq, headText, history string) (l deadletter.Letter, size int, err error) {
	if l.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		return l, 0, fmt.Errorf("its field seq: %w", err)
	}
	var h head
	if err := json.Unmarshal([]byte(headText), &h); err != nil {
		return l, 0, fmt.Errorf("its field head: %w", err)
	}
	if h.Size < 0 {
		return l, 0, errors.New("its field head: the size is negative")
	}
	l.Scope, l.Shard, l.Position, l.Generation, l.Epoch, l.Key, l.Arrived = scope, string(h.Shard), h.Position, h.Generation, h.Epoch, string(h.Key), h.Arrived
	l.Encoded, l.Reason, l.Attempts, l.Errors, l.Stack = h.Encoded, deadletter.Reason(h.Reason), h.Attempts, texts[string](h.Errors), string(h.Stack)
	l.Failed, l.First, l.Worker = h.Failed, h.First, string(h.Worker)
	for _, a := range h.Attributes {
		if l.Attributes == nil {
			l.Attributes = map[string]string{}
		}
		l.Attributes[string(a[0])] = string(a[1])
	}
	for lines := json.NewDecoder(bytes.NewReader([]byte(history))); lines.More(); {
		var f failure
		if err := lines.Decode(&f); err != nil {
			return l, 0, fmt.Errorf("its field history: %w", err)
		}
		l.History = append(l.History, deadletter.Failure{At: f.At, Worker: string(f.Worker), Errors: texts[string](f.Errors)})
	}
	return l, h.Size, nil
}
