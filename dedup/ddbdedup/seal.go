package ddbdedup

import (
	"context"
	"errors"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/marks"
)

// The conditions on rows of seals.
const (
	isNew = "attribute_not_exists(" + attrPartition + ")"
	// isMine is met by rows of the owner with :e, :w and :g.
	isMine = attrEpoch + " = :e AND " + attrSession + " = :w AND " + attrGeneration + " = :g"
	// isLower is met by rows of those whom that owner succeeds.
	isLower = attrEpoch + " < :e OR (" + attrEpoch + " = :e AND " + attrSession + " = :w AND " + attrGeneration + " < :g)"
	// isAt is met by rows with low at :was, and isBelow by those with low below :low.
	isAt    = attrSort + " = :was"
	isBelow = attrSort + " < :low"
)

// owner are the values of isMine and isLower, with others.
func owner(s marks.Seal, others item) item {
	values := item{":e": number(s.Epoch), ":w": text(s.Session), ":g": number(s.Generation)}
	maps.Copy(values, others)
	return values
}

// Seal is that of [dedup.Sink]. It writes the row of the shard first, from when on nothing else is sealed or advanced by earlier owners, and then all stripes there ever were, each by itself; what is above low it reads from a stripe's
// partition when that has its fence, and nothing is added by others. It returns when all have: until then an earlier owner may still apply records by a stripe that has not, all of which are seen.
// A Seal that ended half-way is repeated, or redone by a higher epoch: both write all stripes.
func (s *Sink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	if err := unavailable(ctx); err != nil || m.Scope == dedup.PerID {
		return m.Position, err
	}
	c := s.call("seal shard %s in epoch %d", m.Shard, m.Epoch)
	for n := 1; ; n++ {
		low, sealed, err := s.seal(ctx, c, m)
		if sealed || err != nil {
			return low, err
		}
		if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
			return checkpoint.Position{}, c.fail(ctx, "PutItem", err)
		}
	}
}

// seal tries once: it is not sealed where somebody else wrote the row meanwhile.
func (s *Sink) seal(ctx context.Context, c *call, m dedup.Mark) (low checkpoint.Position, sealed bool, err error) {
	was, err := s.head(ctx, c, m)
	if err != nil {
		return low, false, err
	}
	above := false
	if m.Scope == dedup.PerShard { // to refuse before anything is written
		done, err := s.lanes(ctx, c, m, was.ever)
		if err != nil {
			return low, false, err
		}
		above = living(done, was.seal)
	}
	next := was
	var anew bool
	if next.seal, anew, err = was.seal.Sealed(m, above); err != nil {
		return low, false, err
	}
	if was.seal.None() {
		next.first = m.Generation
	}
	if !same(was.seal, next.seal) {
		next.stripes = 0
	}
	if m.Scope == dedup.PerKey && next.stripes == 0 {
		next.stripes = s.cfg.Stripes
	}
	next.ever = max(was.ever, next.stripes)
	if sealed, err := s.putHead(ctx, c, m, was, next); !sealed || err != nil {
		return low, false, err
	}
	done, err := s.fence(ctx, c, m, next)
	if err != nil {
		return low, false, err
	}
	if m.Scope == dedup.PerShard && living(done, next.seal) { // they came while it was sealed
		_, _, err := next.seal.Sealed(m, true)
		return low, false, err
	}
	voids, err := s.older(ctx, c, m, next)
	if err != nil {
		return low, false, err
	}
	s.book.Sealed(m, next.seal, voids)
	h, err := s.hold(m, next, done)
	if err != nil {
		return low, false, err
	}
	if anew {
		// What stays, because this fails, says nothing any more, and goes with the next Advance.
		_ = s.remove(ctx, s.call("%s", c.what), m, h, h.below(checkpoint.Position{}, m.Generation))
	}
	return next.seal.Low, true, nil
}

// living tells whether marks of keys stand above low.
func living(done map[string]row, s marks.Seal) bool {
	for _, r := range done {
		if !r.void(s.Low, s.Generation) {
			return true
		}
	}
	return false
}

// head reads the row of a shard.
func (s *Sink) head(ctx context.Context, c *call, m dedup.Mark) (head, error) {
	found, err := s.get(ctx, c, headKey(m))
	if err != nil {
		return head{}, err
	}
	h, err := decodeHead(found[0])
	if err != nil {
		return head{}, c.fail(ctx, "BatchGetItem", err)
	}
	return h, nil
}

// putHead writes the row of a shard if it is as it was.
func (s *Sink) putHead(ctx context.Context, c *call, m dedup.Mark, was, next head) (done bool, err error) {
	if next == was {
		return true, nil
	}
	in := &dynamodb.PutItemInput{TableName: &s.table, Item: next.item(m), ConditionExpression: aws.String(isNew)}
	if !was.seal.None() {
		in.ConditionExpression = aws.String(isMine + " AND " + isAt)
		in.ExpressionAttributeValues = owner(was.seal, item{":was": text(was.seal.Low.Sort())})
	}
	answer, err := c.write(ctx, "PutItem", func(ctx context.Context) error {
		_, err := s.client.PutItem(ctx, in, once)
		return conflict(err)
	})
	return s.changed(ctx, c, "PutItem", answer, err)
}

// changed reads the answer to a conditional write: whether it was done.
func (s *Sink) changed(ctx context.Context, c *call, op string, answer, err error) (bool, error) {
	var failed *types.ConditionalCheckFailedException
	switch {
	case err != nil:
		return false, err
	case answer == nil:
		return true, nil
	case errors.As(answer, &failed):
		return false, nil
	}
	return false, c.fail(ctx, op, answer)
}

// conflict has a write that met a transaction sent again.
func conflict(err error) error {
	var met *types.TransactionConflictException
	if errors.As(err, &met) {
		return again{err}
	}
	return err
}

// fence writes all stripes, and reads what is above low from the partition of each that has its fence.
func (s *Sink) fence(ctx context.Context, c *call, m dedup.Mark, h head) (map[string]row, error) {
	if err := parallel(h.ever, func(i int) error { return s.putStripe(ctx, c, m, i, h.seal) }); err != nil {
		return nil, err
	}
	return s.lanes(ctx, c, m, h.ever)
}

func (s *Sink) putStripe(ctx context.Context, c *call, m dedup.Mark, i int, seal marks.Seal) error {
	in := &dynamodb.PutItemInput{
		TableName: &s.table, Item: sealItem(stripeKey(m, i), seal),
		ConditionExpression: aws.String(isNew + " OR " + isLower), ExpressionAttributeValues: owner(seal, nil),
		ReturnValuesOnConditionCheckFailure: onFailure,
	}
	answer, err := c.write(ctx, "PutItem", func(ctx context.Context) error {
		_, err := s.client.PutItem(ctx, in, once)
		return conflict(err)
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(answer, &failed) {
		_, err := s.changed(ctx, c, "PutItem", answer, err)
		return err
	}
	stored, err := decodeSeal(failed.Item)
	if err != nil {
		return c.fail(ctx, "PutItem", err)
	}
	return stored.Admits(m) // nil: it was sealed before, and what was written since stays
}

// lanes reads the rows of a shard's lanes.
func (s *Sink) lanes(ctx context.Context, c *call, m dedup.Mark, stripes int) (map[string]row, error) {
	found := make([]map[string]row, stripes)
	err := parallel(stripes, func(i int) error {
		found[i] = make(map[string]row)
		return s.query(ctx, c, &dynamodb.QueryInput{
			KeyConditionExpression:    aws.String(attrPartition + " = :p AND " + attrKey + " < :seal"), // h, k and p
			ExpressionAttributeValues: item{":p": text(stripePartition(m, i)), ":seal": binary(keySeal)},
		}, func(it item) (bool, error) {
			key, r, err := decodeRow(it, i)
			found[i][key] = r
			return true, err
		})
	})
	all := make(map[string]row)
	for _, rows := range found {
		for key, r := range rows {
			if other, ok := all[key]; !ok || other.generation < r.generation || other.generation == r.generation && other.Position.Before(r.Position) {
				all[key] = r
			}
		}
	}
	return all, err
}

// older tells whether dead records of an older generation are left.
func (s *Sink) older(ctx context.Context, c *call, m dedup.Mark, h head) (found bool, err error) {
	if h.first >= m.Generation {
		return false, nil
	}
	err = s.query(ctx, c, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String(attrPartition + " = :p"),
		FilterExpression:          aws.String(attrGeneration + " < :g"),
		ExpressionAttributeValues: item{":p": text(deadPartition(m)), ":g": number(m.Generation)},
	}, func(item) (bool, error) {
		found = true
		return false, nil
	})
	return found, err
}
