package sim

import (
	"encoding/json"
	"strconv"
	"strings"
)

// leaseRow, sessionRow and appRow are what rows hold, as their documentation says; package lease's own reading is not asked.
type leaseRow struct {
	Owner      string   `json:"owner"`
	Epoch      uint64   `json:"epoch"`
	Generation uint64   `json:"generation"`
	Position   string   `json:"position"`
	Ahead      string   `json:"ahead"`
	State      string   `json:"state"`
	Next       string   `json:"next"`
	Parents    []string `json:"parents"`
	Children   []string `json:"children"`
	Start      string   `json:"start"`
	Closed     bool     `json:"closed"`

	Request json.RawMessage `json:"request"`
}

type sessionRow struct {
	HB       uint64 `json:"hb"`
	State    string `json:"state"`
	Draining bool   `json:"draining"`
}

type appRow struct {
	Start  string `json:"start"`
	Floor  uint64 `json:"floor"`
	Lister string `json:"lister"`
	Claims uint64 `json:"claims"`
	Paused bool   `json:"paused"`
}

const (
	alive = "A"
	dead  = "D"
	open  = "open"
	ended = "ended"
)

// wanted tells whether an operator wants something of the shard.
func (r leaseRow) wanted() bool { return len(r.Request) > 0 && string(r.Request) != "null" }

// through is how many records of the shard the position covers.
func (r leaseRow) through() int {
	if r.Position == "" {
		return 0
	}
	n, err := strconv.Atoi(r.Position)
	if err != nil {
		return -1
	}
	return n + 1
}

func parse[T any](w *world, key string, value []byte) (row T) {
	if len(value) == 0 {
		return row
	}
	if err := json.Unmarshal(value, &row); err != nil {
		w.fail("rows", "%s holds %s: %v", key, value, err)
	}
	return row
}

// The kinds of rows, by their keys.
const (
	sessions = "W/"
	app      = "sim"
	members  = app + "/M/"
	shards   = app + "/S/"
)

func lastName(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
