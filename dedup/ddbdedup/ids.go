package ddbdedup

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// ids decides with PerID. It reads before it has f called: nothing else would tell which records are new.
type ids struct {
	s    *Sink
	c    *call
	ms   []dedup.Mark
	bury bool

	entries map[checkpoint.Position]marks.Entry // nil: not read yet
}

// unique are marks without those that come again.
func unique(ms []dedup.Mark) (indices []int) {
	seen := make(map[string]bool, len(ms))
	for i, m := range ms {
		if p := m.Position.Sort(); !seen[p] {
			seen[p] = true
			indices = append(indices, i)
		}
	}
	return indices
}

func (d *ids) look(ctx context.Context) error {
	all := unique(d.ms)
	keys := make([]item, len(all))
	for n, i := range all {
		keys[n] = idKey(d.ms[i])
	}
	found, err := d.s.get(ctx, d.c, keys...)
	if err != nil {
		return err
	}
	d.entries = make(map[checkpoint.Position]marks.Entry, len(all))
	for n, i := range all {
		if d.entries[d.ms[i].Position], err = decodeEntry(found[n]); err != nil {
			return d.c.fail(ctx, "BatchGetItem", err)
		}
	}
	return nil
}

func (d *ids) decide(context.Context) (decided, error) {
	next := decided{try: nothing, stored: nothing}
	if d.entries == nil {
		return next, nil
	}
	for _, i := range unique(d.ms) {
		m := d.ms[i]
		if !d.entries[m.Position].Fresh(m) {
			continue
		}
		next.fresh = append(next.fresh, i)
		next.actions = append(next.actions, types.TransactWriteItem{Put: &types.Put{
			TableName: &d.s.table, Item: d.s.entry(m, d.bury),
			ConditionExpression:       aws.String(isNew + " OR " + attrGeneration + " < :g"),
			ExpressionAttributeValues: item{":g": number(m.Generation)},
		}})
	}
	return next, nil
}

// entry is the row of a record with PerID.
func (s *Sink) entry(m dedup.Mark, dead bool) item {
	it := idKey(m)
	it[attrGeneration] = number(m.Generation)
	if dead {
		it[attrDead] = &types.AttributeValueMemberBOOL{Value: true}
	}
	if s.cfg.TTL > 0 {
		it[attrExpiry] = number(s.expiry())
	}
	return it
}
