package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// kind says what happened in an [event].
type kind string

// What workers tell.
const (
	ready    kind = "ready"    // about to call consumer.Run
	begun    kind = "begun"    // a call of the handler
	done     kind = "done"     // the same call is about to return without an error
	assigned kind = "assigned" // a shard
	lost     kind = "lost"     // a shard; Text is the reason, Failed why it was no clean one
	stored   kind = "stored"   // a position: the hook Checkpointed
	sent     kind = "sent"     // a write of a row is about to be sent to the store
	answered kind = "answered" // the store answered it; Text is the error, "" for none
	read     kind = "read"     // a lease was read
	frozen   kind = "frozen"   // the process did not run from From until At
	troubled kind = "troubled" // the hook Error
)

// What the parent notes of workers.
const (
	started kind = "started"
	ended   kind = "ended" // Text is the error of the process
)

// event is what happened at an instant. Only the fields that the kind needs are set.
type event struct {
	At     time.Duration // of [clock]
	Worker string
	Kind   kind

	Shard      string              `json:",omitempty"`
	Epoch      uint64              `json:",omitempty"`
	Generation uint64              `json:",omitempty"`
	Position   checkpoint.Position `json:",omitzero"`
	Key        string              `json:",omitempty"` // the record's
	N          int                 `json:",omitempty"` // the record is the n-th of its key, from 1
	Attempt    int                 `json:",omitempty"`

	Row     string `json:",omitempty"` // key of the row that is written
	Version uint64 `json:",omitempty"` // that the row has once it is written
	Write   uint64 `json:",omitempty"` // number of the write in its process
	Owner   string `json:",omitempty"` // session that the row names
	State   string `json:",omitempty"`

	From   time.Duration `json:",omitempty"`
	Text   string        `json:",omitempty"`
	Failed bool          `json:",omitempty"`
}

// longest is less than what a pipe takes in one piece (PIPE_BUF, 4,096 bytes): all workers write into one pipe.
const longest = 2000

// say writes an event in one piece.
func (e event) say() error {
	e.Text = e.Text[:min(len(e.Text), longest)]
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}
