package ddbdedup

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/marks"
)

// decided is what becomes of the marks of a call, by what is known of their rows.
type decided struct {
	fresh   []int
	actions []types.TransactWriteItem // of the marks
	try     func()                    // called before they are written
	stored  func()                    // and when they are
}

// nothing is to be done about rows that this process does not remember.
func nothing() {}

// decider decides about marks of one kind. Its rows are those that are known until it reads them.
type decider interface {
	// look reads the rows.
	look(ctx context.Context) error
	// decide says what is fresh, and what is to be written with its effects.
	decide(ctx context.Context) (decided, error)
}

// Apply is that of [dedup.Effects]. What f adds to the write is committed with the marks by one TransactWriteItems; f may be called again for other fresh records where the marks are not as was expected. An action that DynamoDB does not
// take is a [*dedup.RolledBackError], around a [*ConditionError] if its own condition did not hold, and a [*LimitError] if there are too many. Conflicts with other transactions and throttled requests are waited out as long as ctx
// lasts.
func (s *Sink) Apply(ctx context.Context, ms []dedup.Mark, f func(w *Write, fresh []int) error) error {
	if err := unavailable(ctx); err != nil || len(ms) == 0 {
		return err
	}
	return s.apply(ctx, s.call("apply %d records of shard %s", len(ms), ms[0].Shard), ms, f)
}

// Bury is that of [dedup.Sink]. More records than one transaction takes – 99 with PerShard, 33 with PerKey, 100 with PerID – are buried by several, in their order.
func (s *Sink) Bury(ctx context.Context, ms []dedup.Mark) error {
	if err := unavailable(ctx); err != nil || len(ms) == 0 {
		return err
	}
	size := map[dedup.Scope]int{dedup.PerShard: maxActions - 1, dedup.PerKey: maxActions / 3, dedup.PerID: maxActions}[ms[0].Scope]
	for some := range slices.Chunk(ms, size) {
		if err := s.apply(ctx, s.call("bury %d records of shard %s", len(some), some[0].Shard), some, nil); err != nil {
			return err
		}
	}
	return nil
}

// apply applies records, or buries them if f is nil.
func (s *Sink) apply(ctx context.Context, c *call, ms []dedup.Mark, f func(w *Write, fresh []int) error) error {
	var d decider
	switch {
	case ms[0].Redrive && ms[0].Scope == dedup.PerID:
		d = &idRedrive{s: s, c: c, m: ms[0]}
	case ms[0].Redrive:
		d = &redrive{s: s, c: c, m: ms[0]}
	case ms[0].Scope == dedup.PerID:
		d = &ids{s: s, c: c, ms: ms, bury: f == nil}
	default:
		h, err := s.of(ctx, c, ms[0])
		if err != nil {
			return err
		}
		l := newLanes(s, c, h, ms, f == nil)
		err = s.commit(ctx, c, l, f)
		if _, rolledBack := errors.AsType[*dedup.RolledBackError](err); rolledBack {
			h.owner.Untry(l.tried)
		}
		return err
	}
	return s.commit(ctx, c, d, f)
}

// commit writes what is decided, until the rows are those for which it was.
func (s *Sink) commit(ctx context.Context, c *call, d decider, f func(w *Write, fresh []int) error) error {
	var (
		w       *Write
		made    []int // for which w was
		refused error // why w was not committed, if the marks say that it was to be
		looked  bool  // since the last write
	)
	for n := 0; ; n++ {
		next, err := d.decide(ctx)
		if (err != nil || len(next.fresh) == 0) && !looked {
			if err := d.look(ctx); err != nil {
				return err
			}
			looked = true
			continue
		}
		if err != nil || len(next.fresh) == 0 {
			return err
		}
		if w == nil || !slices.Equal(made, next.fresh) {
			if w, err = effects(f, next.fresh); err != nil {
				return err
			}
			made, refused = next.fresh, nil
		}
		if refused != nil {
			return &dedup.RolledBackError{Err: refused}
		}
		actions, err := w.with(next.actions)
		if err != nil {
			return err
		}
		if n > 1 {
			if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
				return c.fail(ctx, "TransactWriteItems", err)
			}
		}
		next.try()
		outdated, because, err := s.transact(ctx, c, actions, len(next.actions))
		switch {
		case err != nil:
			return err
		case !outdated && because == nil:
			next.stored()
			return nil
		}
		// Effects that do not hold may be those of an earlier sending: the marks say whether they are.
		refused = because
		if err := d.look(ctx); err != nil {
			return err
		}
		looked = true
	}
}

// lanes decides with PerShard and PerKey.
type lanes struct {
	s    *Sink
	c    *call
	h    *held
	ms   []dedup.Mark
	bury bool

	seal  marks.Seal
	done  map[string]marks.Done
	tried []checkpoint.Position
}

func newLanes(s *Sink, c *call, h *held, ms []dedup.Mark, bury bool) *lanes {
	return &lanes{s: s, c: c, h: h, ms: ms, bury: bury, seal: h.owner.Seal(), done: h.known(ms)}
}

func (l *lanes) perKey() bool { return l.ms[0].Scope == dedup.PerKey }

// look reads the row of the shard; with PerKey those of lanes, and of the stripes that fence them, each of which stands for the seal.
func (l *lanes) look(ctx context.Context) error {
	if !l.perKey() {
		head, err := l.s.head(ctx, l.c, l.ms[0])
		if err != nil {
			return err
		}
		if l.seal = head.seal; l.seal.Admits(l.ms[0]) != nil {
			return nil
		}
		if l.seal.Low.Before(l.h.owner.Seal().Low) {
			return forgotten(l.seal, l.ms[0])
		}
		l.h.owner.Moved(l.seal.Low)
		return nil
	}
	var keys []item
	places := make(map[int]bool)
	at := make(map[string]int)
	for _, m := range l.ms {
		key := laneKey(m.Lane())
		if _, there := at[key]; there {
			continue
		}
		at[key] = l.h.at(key)
		places[stripe(key, l.h.stripes)] = true
		keys = append(keys, laneItemKey(m, at[key], key))
	}
	first := len(keys)
	for i := range places {
		keys = append(keys, stripeKey(l.ms[0], i))
	}
	found, err := l.s.get(ctx, l.c, keys...)
	if err != nil {
		return err
	}
	// What is deleted below low is not found, but then a stripe tells of that low, and its row is the later one if it does not.
	seal := fence(l.ms[0])
	seal.Low = l.h.owner.Seal().Low
	for _, it := range found[first:] {
		stored, err := decodeSeal(it)
		if err != nil {
			return l.c.fail(ctx, "BatchGetItem", err)
		}
		if stored.Admits(l.ms[0]) != nil {
			l.seal = stored
			return nil
		}
		if seal.Low.Before(stored.Low) {
			seal.Low = stored.Low
		}
	}
	l.seal = seal
	rows := make(map[string]row)
	for _, it := range found[:first] {
		if it == nil {
			continue
		}
		key, r, err := decodeRow(it, 0)
		if err != nil {
			return l.c.fail(ctx, "BatchGetItem", err)
		}
		r.stripe = at[key]
		rows[key] = r
	}
	l.h.learn(rows)
	l.done = make(map[string]marks.Done)
	for _, m := range l.ms {
		if r, ok := rows[laneKey(m.Lane())]; ok && r.generation == m.Generation {
			l.done[m.Lane()] = r.Done
		}
	}
	return nil
}

func (l *lanes) decide(ctx context.Context) (decided, error) {
	b, err := marks.Decide(l.seal, l.done, l.h.owner, l.ms)
	if err != nil || len(b.Fresh) == 0 {
		return decided{}, err
	}
	d := decided{fresh: b.Fresh}
	rows := make(map[string]row)
	if l.perKey() {
		d.actions, rows = l.marked(b)
	} else {
		d.actions = []types.TransactWriteItem{l.moved(b.Low)}
	}
	dead, err := l.dead(ctx, b.Fresh)
	if err != nil {
		return decided{}, err
	}
	d.actions = append(d.actions, dead...)
	d.try = func() { l.tried = append(l.tried, l.h.owner.Try(l.ms, b.Fresh)...) }
	d.stored = func() {
		l.h.owner.Moved(b.Low)
		l.h.learn(rows)
	}
	return d, nil
}

// moved moves low, of a row that is as expected.
func (l *lanes) moved(low checkpoint.Position) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &l.s.table, Key: headKey(l.ms[0]),
		UpdateExpression:          aws.String(setPosition),
		ConditionExpression:       aws.String(isMine + " AND " + isAt),
		ExpressionAttributeValues: owner(fence(l.ms[0]), item{":was": text(l.seal.Low.Sort()), ":low": text(low.Sort()), ":text": text(low.String())}),
	}}
}

// setPosition stores a position that is none before the first.
const setPosition = "SET " + attrSort + " = :low, " + attrText + " = :text"

// marked checks the stripes of lanes, and moves those.
func (l *lanes) marked(b marks.Batch) (actions []types.TransactWriteItem, rows map[string]row) {
	first := make(map[int]checkpoint.Position)     // the lowest fresh one of a stripe
	begins := make(map[string]checkpoint.Position) // and of a lane
	var order []int
	for _, i := range b.Fresh {
		m := l.ms[i]
		if _, there := begins[m.Lane()]; !there {
			begins[m.Lane()] = m.Position
		}
		place := stripe(laneKey(m.Lane()), l.h.stripes)
		if p, there := first[place]; !there {
			order = append(order, place)
			first[place] = m.Position
		} else if m.Position.Before(p) {
			first[place] = m.Position
		}
	}
	for _, place := range order {
		actions = append(actions, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &l.s.table, Key: stripeKey(l.ms[0], place),
			ConditionExpression:       aws.String(isMine + " AND " + isBelow),
			ExpressionAttributeValues: owner(fence(l.ms[0]), item{":low": text(first[place].Sort())}),
		}})
	}
	rows = make(map[string]row)
	for _, i := range b.Fresh {
		m := l.ms[i]
		key := laneKey(m.Lane())
		if _, there := rows[key]; there {
			continue
		}
		r := row{b.Done[m.Lane()], m.Generation, l.h.at(key)}
		rows[key] = r
		actions = append(actions, types.TransactWriteItem{Put: &types.Put{
			TableName: &l.s.table, Item: r.item(laneItemKey(m, r.stripe, key)),
			ConditionExpression:       aws.String(isNew + " OR " + attrGeneration + " < :g OR " + isBelow),
			ExpressionAttributeValues: item{":g": number(m.Generation), ":low": text(begins[m.Lane()].Sort())},
		}})
	}
	return actions, rows
}

// dead notes records among the dead, or removes those of older generations, which are applied again. There is one row for a position.
func (l *lanes) dead(ctx context.Context, fresh []int) (actions []types.TransactWriteItem, err error) {
	if l.bury {
		for _, i := range fresh {
			m := l.ms[i]
			it := deadKey(m)
			it[attrGeneration], it[attrText] = number(m.Generation), text(m.Position.String())
			actions = append(actions, types.TransactWriteItem{Put: &types.Put{TableName: &l.s.table, Item: it}})
		}
		return actions, nil
	}
	if !l.h.owner.Voids() {
		return nil, nil
	}
	void := make(map[string]bool)
	from, to := l.ms[fresh[0]].Position, l.ms[fresh[len(fresh)-1]].Position
	err = l.s.query(ctx, l.c, &dynamodb.QueryInput{
		KeyConditionExpression: aws.String(attrPartition + " = :p AND " + attrKey + " BETWEEN :from AND :to"),
		FilterExpression:       aws.String(attrGeneration + " < :g"),
		ExpressionAttributeValues: item{
			":p": text(deadPartition(l.ms[0])), ":g": number(l.ms[0].Generation), ":from": binary(from.Sort()), ":to": binary(to.Sort()),
		},
	}, func(it item) (bool, error) {
		d := decoder{item: it}
		void[d.key()] = true
		return true, d.err
	})
	for _, i := range fresh {
		if void[l.ms[i].Position.Sort()] {
			actions = append(actions, types.TransactWriteItem{Delete: &types.Delete{TableName: &l.s.table, Key: deadKey(l.ms[i])}})
		}
	}
	return actions, err
}
