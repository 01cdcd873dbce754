package lease

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/checkpoint"
)

// Application is what an operator sees of one.
type Application struct {
	Name        string
	Stream      string
	Incarnation string
	Generation  uint64
	Paused      bool
	Reset       string // the reset that is under way, for people; "": none
	Lister      string // the session that lists the shards for all
	Workers     []Worker
	Shards      []ShardState
}

// Worker is one session that takes part.
type Worker struct {
	Name     string // as Config.Worker
	Session  string
	Zone     string
	Alive    bool // as far as its row says: a worker that died a moment ago still looks alive
	Draining bool // it is shutting down, or an operator drains it
	Stuck    []string
	Shards   int // how many it has
}

// ShardState is one shard's row.
type ShardState struct {
	Shard    string
	Parents  []string
	Children []string
	Owner    string // the session; "": nobody
	Next     string // the session that it was handed to
	Epoch    uint64
	// Generation rises when a reset has the shard processed again.
	Generation uint64
	Position   checkpoint.Position // zero: none yet, see Start
	Start      checkpoint.Start
	Ended      bool
	Request    string // what an operator asks: "pause", "reset", or "", or one that this version does not know, as JSON text
	Rate       uint64 // bytes a second, roughly; 0: unknown or next to none
	Zone       string
}

// Describe reads everything that the store has of an application. It writes nothing. Rows that it cannot read are left out; the error names them, and the rest is there all the same.
func (o Operator) Describe(ctx context.Context) (a Application, err error) {
	defer func() { err = o.failed("describe", err) }()
	d, err := o.open(ctx)
	if err != nil {
		return Application{}, err
	}
	a = Application{
		Name: o.App, Stream: d.app.Stream, Incarnation: d.app.Incarnation, Generation: d.app.Generation, Paused: d.app.Paused, Lister: d.app.Lister,
	}
	rows, corrupt, err := d.shards(ctx)
	if err != nil {
		return a, err
	}
	owned := make(map[string]int)
	if d.app.Reset != nil {
		a.Reset = d.app.Reset.String()
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		r := rows[id]
		owned[r.Owner]++
		q, err := r.asked()
		if err != nil {
			q.Do = string(r.Request) // one that this version does not know
		}
		a.Shards = append(a.Shards, ShardState{
			Shard: id, Parents: r.Parents, Children: r.Children, Owner: r.Owner, Next: r.Next, Epoch: r.Epoch, Generation: r.Generation,
			Position: r.Position, Start: r.Start, Ended: r.State == ended, Request: q.Do, Rate: r.Rate, Zone: r.Zone,
		})
	}
	if a.Workers, err = d.workers(ctx); err != nil {
		return a, err
	}
	for i, w := range a.Workers {
		a.Workers[i].Shards = owned[w.Session]
	}
	return a, corrupt
}

func (d *desk) workers(ctx context.Context) ([]Worker, error) {
	var all []Worker
	var keys []string
	for row, err := range d.req.list(ctx, d.keys.members(), "") {
		if err != nil {
			return nil, err
		}
		r, _ := decodeMember(row) // it is a member all the same
		session := lastName(row.Key)
		all = append(all, Worker{Name: r.Worker, Session: session, Zone: r.Zone, Draining: r.Drain, Stuck: r.Stuck})
		keys = append(keys, sessionKey(session))
	}
	found, err := d.req.get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if found[key].Version == 0 {
			continue
		}
		if r, err := decodeSession(found[key]); err == nil {
			all[i].Alive = r.State == alive
			all[i].Draining = all[i].Draining || r.Draining
		}
	}
	slices.SortFunc(all, func(a, b Worker) int { return strings.Compare(a.Session, b.Session) })
	return all, nil
}
