package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// order is a record, and the effect that it is to have.
type order struct {
	n        int64
	key      string
	position checkpoint.Position
}

// ordersDB is a database in which records are to have their effects once.
type ordersDB interface {
	dedup.Sink
	// alone makes the effects of records in one transaction, whether they were made before or not.
	alone(ctx context.Context, rs []order) error
	// naive does so for those that have no row of a marker, and gives each one.
	naive(ctx context.Context, shard string, rs []order) error
	// once does so for those that are not marked, with their marks, one a record. In a storingDB there are marks alone without rs.
	once(ctx context.Context, ms []dedup.Mark, rs []order) error
	// made is how many effects there are.
	made(ctx context.Context) (int64, error)
}

// storingDB is one of which it is looked at what it stores.
type storingDB interface {
	ordersDB
	// noted stores rows of markers alone, all at once.
	noted(ctx context.Context, shard string, rs []order) error
	// marks and markers are what is stored of them.
	marks(ctx context.Context) (extent, error)
	markers(ctx context.Context) (extent, error)
}

// slowDB is one whose transactions can be made to take their time.
type slowDB interface {
	ordersDB
	// slow is the same database with a wait in each transaction of alone and once, behind its effects.
	slow(wait time.Duration) ordersDB
}

// extent is how much is stored.
type extent struct{ rows, bytes int64 }

// markStore is a kind of database.
type markStore struct {
	name    string
	batches []int // sizes that are compared
	stored  int   // records whose marks are looked at; 0: it is not
	// serve calls f with a way to make databases, each with tables of its own, and ends them behind.
	serve func(ctx context.Context, f func(open opener) error) error
	lanes bool // are measured side by side
}

// opener makes a database.
type opener func(ctx context.Context, name string) (ordersDB, error)

var markStores = []markStore{
	{name: "postgresql", batches: []int{1, 100}, stored: 100_000, serve: servePostgres, lanes: true},
	{name: "sqlite", batches: []int{1, 100}, stored: 100_000, serve: serveSQLite},
	{name: "redis", batches: []int{1, 100}, stored: 100_000, serve: serveRedis},
	{name: "dynamodb", batches: []int{1, 32}, serve: serveDynamo}, // 32 records of 32 keys fit into a transaction of 100 actions
}

const (
	// effectsUnit is the time of a batch divided by that of its effects alone in the same round.
	effectsUnit = "x/effects"
	// advanceEvery is how many batches there are between the checkpoints of a shard.
	advanceEvery = 10
	// storedBatch is the size of a batch where storage is looked at.
	storedBatch = 1000
	// inFlight is how many records there are between checkpoints where storage is looked at.
	inFlight = advanceEvery * storedBatch
	// markKeys are those of all records, but for these.
	markKeys = 1000
)

func markName(store string, batch int, side string) string {
	return fmt.Sprintf("Marks/store=%s/batch=%d/side=%s", store, batch, side)
}

func storedName(store, side string) string { return "MarkStorage/store=" + store + "/side=" + side }

// Sides of the comparison. Those with marks are named after their scope; of oneKey all records of a batch have the same key, and so one mark.
const (
	effectsSide = "effects"
	shardSide   = "PerShard"
	keySide     = "PerKey"
	oneKeySide  = "PerKey-one-key"
	naiveSide   = "naive"
)

// storedSides are those of which it is looked at what is stored.
var storedSides = []string{shardSide, keySide, naiveSide}

func markSides(batch int) []string {
	if batch == 1 {
		return []string{effectsSide, shardSide, keySide, naiveSide}
	}
	return []string{effectsSide, shardSide, oneKeySide, keySide, naiveSide}
}

// markCost measures what marks cost beside the effects that they are for.
func markCost(ctx context.Context, o options, r *report) error {
	r.note("sides take turns, batch by batch; a round has the median of each, and its ratio to that of the effects alone")
	for _, s := range markStores {
		if o.Stores != "" && !slices.Contains(strings.Split(o.Stores, ","), s.name) {
			continue
		}
		if err := s.measure(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (s markStore) measure(ctx context.Context, o options, r *report) error {
	return s.serve(ctx, func(open opener) error {
		db, err := open(ctx, "compared")
		if err != nil {
			return err
		}
		var last int64
		for _, batch := range s.batches {
			c := comparison{db: db, batch: batch, turns: max(40, 150/batch), last: last}
			if err := c.compare(ctx, o, r, s.name); err != nil {
				return err
			}
			last = c.last
		}
		if s.stored > 0 {
			if err := s.storage(ctx, r, open); err != nil {
				return err
			}
		}
		if slow, ok := db.(slowDB); ok && s.lanes {
			return markLanes(ctx, o, r, s.name, slow, last)
		}
		return nil
	})
}

// comparison is one of all sides on batches of a size.
type comparison struct {
	db    ordersDB
	batch int
	turns int   // in a round
	last  int64 // the number of the last record
}

// sequence is what sequence numbers begin with that lie near to each other, as those of Kinesis do.
const sequence = "49590338271490256608559692538361571095921575989"

// ordersFrom are records behind the n-th. They have keys one after the other.
func ordersFrom(n int64, size int) ([]order, error) {
	rs := make([]order, size)
	for i := range rs {
		n++
		at, err := checkpoint.Sequence(fmt.Sprintf("%s%09d", sequence, n))
		if err != nil {
			return nil, err
		}
		rs[i] = order{n, fmt.Sprintf("key-%d", n%markKeys), at}
	}
	return rs, nil
}

// marked is the mark of a shard that is called like a side.
func marked(side string) dedup.Mark {
	m := dedup.Mark{App: "bench", Stream: "orders", Shard: side, Scope: dedup.PerKey, Epoch: 1, Session: "bench"}
	if side == shardSide {
		m.Scope = dedup.PerShard
	}
	return m
}

// marksOf are those of records of a shard.
func marksOf(shard dedup.Mark, rs []order) []dedup.Mark {
	ms := make([]dedup.Mark, len(rs))
	for i, r := range rs {
		ms[i] = shard
		ms[i].Key, ms[i].Position = r.key, r.position
	}
	return ms
}

// hasMarks tells of the sides whose shards are sealed.
func hasMarks(side string) bool { return side != effectsSide && side != naiveSide }

// compare measures rounds, the first of which only warms up.
func (c *comparison) compare(ctx context.Context, o options, r *report, store string) error {
	before, err := c.db.made(ctx)
	if err != nil {
		return err
	}
	for _, side := range markSides(c.batch) {
		if !hasMarks(side) {
			continue
		}
		if _, err := c.db.Seal(ctx, c.shard(side)); err != nil {
			return err
		}
	}
	all := 0
	for n := range cmp.Or(o.Count, 6) + 1 {
		turns := c.turns
		if n == 0 {
			turns = min(turns, 5)
		}
		took, advanced, err := c.round(ctx, turns)
		if err != nil {
			return err
		}
		all += turns
		if n > 0 {
			c.results(r, store, took, advanced)
		}
	}
	after, err := c.db.made(ctx)
	if want := before + int64(all*c.batch*len(markSides(c.batch))); err == nil && after != want {
		err = fmt.Errorf("%d effects were made, want %d", after, want)
	}
	return err
}

// shard is the mark of a side's shard in this comparison.
func (c *comparison) shard(side string) dedup.Mark {
	m := marked(side)
	m.Shard = fmt.Sprintf("%s-%d", side, c.batch)
	return m
}

// round has each side once a turn, in an order that is drawn.
func (c *comparison) round(ctx context.Context, turns int) (took, advanced map[string][]time.Duration, err error) {
	took, advanced = make(map[string][]time.Duration), make(map[string][]time.Duration)
	sides := slices.Clone(markSides(c.batch))
	for n := range turns {
		rand.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
		for _, side := range sides {
			rs, err := ordersFrom(c.last, c.batch)
			if err != nil {
				return nil, nil, err
			}
			c.last += int64(c.batch)
			for i := range rs {
				if side == oneKeySide {
					rs[i].key = fmt.Sprintf("key-%d", n)
				}
			}
			d, err := c.write(ctx, side, rs)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", side, err)
			}
			took[side] = append(took[side], d)
			if !hasMarks(side) || n%advanceEvery != advanceEvery-1 {
				continue
			}
			m := c.shard(side)
			m.Position = rs[len(rs)-1].position
			begun := time.Now()
			if err := c.db.Advance(ctx, m); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", side, err)
			}
			advanced[side] = append(advanced[side], time.Since(begun))
		}
	}
	return took, advanced, nil
}

// write makes the effects of a batch, and tells how long it took.
func (c *comparison) write(ctx context.Context, side string, rs []order) (time.Duration, error) {
	m := c.shard(side)
	ms := marksOf(m, rs)
	begun := time.Now()
	var err error
	switch side {
	case effectsSide:
		err = c.db.alone(ctx, rs)
	case naiveSide:
		err = c.db.naive(ctx, m.Shard, rs)
	default:
		err = c.db.once(ctx, ms, rs)
	}
	return time.Since(begun), err
}

func (c *comparison) results(r *report, store string, took, advanced map[string][]time.Duration) {
	base := medianTime(took[effectsSide])
	for _, side := range markSides(c.batch) {
		each := medianTime(took[side])
		all := []metric{{each, "ns/batch"}, {each / float64(c.batch), "ns/record"}, {each / base, effectsUnit}}
		if a := advanced[side]; len(a) > 0 {
			all = append(all, metric{medianTime(a), "advance-ns"})
		}
		r.result(markName(store, c.batch, side), all...)
	}
}

// medianTime is the median of times, in nanoseconds.
func medianTime(took []time.Duration) float64 {
	all := make([]float64, len(took))
	for i, d := range took {
		all[i] = float64(d)
	}
	return median(all)
}

// storage applies many records without effects, and tells what is stored of their marks just before the last checkpoint, when there are most.
func (s markStore) storage(ctx context.Context, r *report, open opener) error {
	for i, side := range storedSides {
		db, err := open(ctx, fmt.Sprintf("stored%d", i))
		if err != nil {
			return err
		}
		storing, ok := db.(storingDB)
		if !ok {
			return fmt.Errorf("storage: %T does not tell what it stores", db)
		}
		most, last, err := store(ctx, storing, side, s.stored)
		if err != nil {
			return fmt.Errorf("storage: %s: %w", side, err)
		}
		r.result(storedName(s.name, side), metric{float64(s.stored), "records"}, metric{float64(most), "rows-at-most"}, metric{float64(last.bytes), "stored-B"})
	}
	return nil
}

// store applies records, each of a key of its own. A checkpoint comes after some batches.
func store(ctx context.Context, db storingDB, side string, records int) (most int64, last extent, err error) {
	m := marked(side)
	if hasMarks(side) {
		if _, err := db.Seal(ctx, m); err != nil {
			return 0, last, err
		}
	}
	for n := range records / storedBatch {
		rs, err := ordersFrom(int64(n*storedBatch), storedBatch)
		if err != nil {
			return 0, last, err
		}
		for i := range rs {
			rs[i].key = fmt.Sprintf("key-%d", rs[i].n)
		}
		if hasMarks(side) {
			err = db.once(ctx, marksOf(m, rs), nil)
		} else {
			err = db.noted(ctx, m.Shard, rs)
		}
		if err != nil {
			return 0, last, err
		}
		if n%advanceEvery != advanceEvery-1 {
			continue
		}
		if last, err = extentOf(ctx, db, side); err != nil {
			return 0, last, err
		}
		most = max(most, last.rows)
		if !hasMarks(side) {
			continue
		}
		m.Position = rs[len(rs)-1].position
		if err := db.Advance(ctx, m); err != nil {
			return 0, last, err
		}
	}
	if most == 0 {
		err = errors.New("nothing is stored")
	}
	return most, last, err
}

func extentOf(ctx context.Context, db storingDB, side string) (extent, error) {
	if hasMarks(side) {
		return db.marks(ctx)
	}
	return db.markers(ctx)
}
