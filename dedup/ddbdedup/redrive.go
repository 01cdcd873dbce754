package ddbdedup

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// redrive decides about a record that was given up with PerShard or PerKey.
type redrive struct {
	s *Sink
	c *call
	m dedup.Mark

	looked bool
	seal   marks.Seal
	done   marks.Done
	dead   bool
}

// look reads what was passed first, and then whether the record rests among the dead: it is put there by the write that passes it, so that one which was passed and is not there has been applied.
func (r *redrive) look(ctx context.Context) error {
	found, err := r.s.get(ctx, r.c, headKey(r.m))
	if err != nil {
		return err
	}
	head, err := decodeHead(found[0])
	if err != nil {
		return r.c.fail(ctx, "BatchGetItem", err)
	}
	r.seal, r.done = head.seal, marks.Done{}
	if r.m.Scope == dedup.PerKey && head.ever > 0 {
		if err := r.lane(ctx, head); err != nil {
			return err
		}
	}
	found, err = r.s.get(ctx, r.c, deadKey(r.m))
	if err != nil {
		return err
	}
	r.dead = false
	if found[0] != nil {
		d := decoder{item: found[0]}
		r.dead = d.number(attrGeneration) == r.m.Generation
		if d.err != nil {
			return r.c.fail(ctx, "BatchGetItem", d.err)
		}
	}
	r.looked = true
	return nil
}

// lane reads the row of the record's lane, which is in one of few stripes: it depends on how many there were when it was made, a power of two.
func (r *redrive) lane(ctx context.Context, h head) error {
	key := laneKey(r.m.Lane())
	places := make(map[int]bool)
	var keys []item
	for n := 1; n <= h.ever; n *= 2 {
		if i := stripe(key, n); !places[i] {
			places[i] = true
			keys = append(keys, laneItemKey(r.m, i, key))
		}
	}
	found, err := r.s.get(ctx, r.c, keys...)
	if err != nil {
		return err
	}
	for _, it := range found {
		if it == nil {
			continue
		}
		_, stored, err := decodeRow(it, 0)
		if err != nil {
			return r.c.fail(ctx, "BatchGetItem", err)
		}
		if stored.generation == r.seal.Generation && r.done.Position.Before(stored.Position) {
			r.done = stored.Done
		}
	}
	return nil
}

func (r *redrive) decide(context.Context) (decided, error) {
	if !r.looked {
		return decided{}, nil
	}
	fresh, err := marks.Redrive(r.seal, r.done, r.dead, r.m)
	if !fresh || err != nil {
		return decided{}, err
	}
	return decided{fresh: []int{0}, try: nothing, stored: nothing, actions: []types.TransactWriteItem{{Delete: &types.Delete{
		TableName: &r.s.table, Key: deadKey(r.m),
		ConditionExpression:       aws.String(attrGeneration + " = :g"),
		ExpressionAttributeValues: item{":g": number(r.m.Generation)},
	}}}}, nil
}

// idRedrive decides about a record that was given up with PerID.
type idRedrive struct {
	s *Sink
	c *call
	m dedup.Mark

	looked bool
	entry  marks.Entry
}

func (r *idRedrive) look(ctx context.Context) error {
	found, err := r.s.get(ctx, r.c, idKey(r.m))
	if err != nil {
		return err
	}
	if r.entry, err = decodeEntry(found[0]); err != nil {
		return r.c.fail(ctx, "BatchGetItem", err)
	}
	r.looked = true
	return nil
}

func (r *idRedrive) decide(context.Context) (decided, error) {
	if !r.looked {
		return decided{}, nil
	}
	fresh, err := r.entry.Redrive(r.m)
	if !fresh || err != nil {
		return decided{}, err
	}
	return decided{fresh: []int{0}, try: nothing, stored: nothing, actions: []types.TransactWriteItem{{Put: &types.Put{
		TableName: &r.s.table, Item: r.s.entry(r.m, false),
		ConditionExpression:       aws.String(attrGeneration + " = :g AND " + attrDead + " = :true"),
		ExpressionAttributeValues: item{":g": number(r.m.Generation), ":true": &types.AttributeValueMemberBOOL{Value: true}},
	}}}}, nil
}
