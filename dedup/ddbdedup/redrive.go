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

// look reads the seal, the row of the record's lane and the record among the dead in one instant. The row of the lane is in one of few stripes: it depends on how many there were when it was made, a power of two.
func (r *redrive) look(ctx context.Context) error {
	keys := []item{headKey(r.m), deadKey(r.m)}
	if r.m.Scope == dedup.PerKey {
		lane := laneKey(r.m.Lane())
		places := make(map[int]bool)
		for n := 1; n <= MaxStripes; n *= 2 {
			if i := stripe(lane, n); !places[i] {
				places[i] = true
				keys = append(keys, laneItemKey(r.m, i, lane))
			}
		}
	}
	found, err := r.s.snapshot(ctx, r.c, keys)
	if err != nil {
		return err
	}
	head, err := decodeHead(found[0])
	r.seal, r.done, r.dead = head.seal, marks.Done{}, false
	if found[1] != nil && err == nil {
		d := decoder{item: found[1]}
		r.dead = d.number(attrGeneration) == r.m.Generation
		err = d.err
	}
	for _, it := range found[2:] {
		if it == nil || err != nil {
			continue
		}
		var stored row
		if _, stored, err = decodeRow(it, 0); stored.generation == r.seal.Generation && r.done.Position.Before(stored.Position) {
			r.done = stored.Done
		}
	}
	if err != nil {
		return r.c.fail(ctx, "TransactGetItems", err)
	}
	r.looked = true
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
