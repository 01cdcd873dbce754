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
	"github.com/runnelhq/runnel/internal/awserr"
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

// sealsAtOnce is how often a seal is tried in one transaction.
const sealsAtOnce = 5

// Seal is that of [dedup.Sink]. It writes the row of the shard and all stripes that there ever were in one transaction, and reads what is above low when that is done: nothing is added to it by others then. Where writes of an earlier owner conflict with that
// transaction again and again it writes the row of the shard first and then each stripe by itself, as the package's documentation says.
func (s *Sink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	if err := unavailable(ctx); err != nil || m.Scope == dedup.PerID {
		return m.Position, err
	}
	c := s.call("seal shard %s in epoch %d", m.Shard, m.Epoch)
	for n := 1; ; n++ {
		low, sealed, err := s.seal(ctx, c, m, n <= sealsAtOnce)
		if sealed || err != nil {
			return low, err
		}
		if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
			return checkpoint.Position{}, c.fail(ctx, "TransactWriteItems", err)
		}
	}
}

// seal tries once: it is not sealed where somebody else wrote a row meanwhile.
func (s *Sink) seal(ctx context.Context, c *call, m dedup.Mark, atOnce bool) (low checkpoint.Position, sealed bool, err error) {
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
	if sealed, err := s.fence(ctx, c, m, was, next, atOnce); !sealed || err != nil {
		return low, false, err
	}
	done, err := s.lanes(ctx, c, m, next.ever)
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

// fence writes the rows of a seal.
func (s *Sink) fence(ctx context.Context, c *call, m dedup.Mark, was, next head, atOnce bool) (sealed bool, err error) {
	if next != was && next.ever > 0 && atOnce {
		return s.putAll(ctx, c, m, was, next)
	}
	if sealed, err := s.putHead(ctx, c, m, was, next); !sealed || err != nil {
		return false, err
	}
	return true, parallel(next.ever, func(i int) error { return s.putStripe(ctx, c, m, i, next.seal) })
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

// putAll writes the row of a shard and its stripes at once, if they are as they were, and nothing conflicts.
func (s *Sink) putAll(ctx context.Context, c *call, m dedup.Mark, was, next head) (done bool, err error) {
	const op = "TransactWriteItems"
	actions := []types.TransactWriteItem{{Put: s.headPut(m, was, next)}}
	for i := range next.ever {
		actions = append(actions, types.TransactWriteItem{Put: s.stripePut(m, i, next.seal)})
	}
	token, err := c.token(actions)
	if err != nil {
		return false, c.fail(ctx, op, err)
	}
	answer, err := c.write(ctx, op, func(ctx context.Context) error {
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: actions, ClientRequestToken: &token}, once)
		return err
	})
	switch {
	case err != nil:
		return false, err
	case answer == nil:
		return true, nil
	case awserr.Code(answer) == "TransactionCanceledException":
		return false, nil
	}
	return false, c.fail(ctx, op, answer)
}

// headPut writes the row of a shard if it is as it was.
func (s *Sink) headPut(m dedup.Mark, was, next head) *types.Put {
	put := &types.Put{TableName: &s.table, Item: next.item(m), ConditionExpression: aws.String(isNew)}
	if !was.seal.None() {
		put.ConditionExpression = aws.String(isMine + " AND " + isAt)
		put.ExpressionAttributeValues = owner(was.seal, item{":was": text(was.seal.Low.Sort())})
	}
	return put
}

// stripePut writes a stripe if it is not of this owner, or a later one.
func (s *Sink) stripePut(m dedup.Mark, i int, seal marks.Seal) *types.Put {
	return &types.Put{
		TableName: &s.table, Item: sealItem(stripeKey(m, i), seal),
		ConditionExpression: aws.String(isNew + " OR " + isLower), ExpressionAttributeValues: owner(seal, nil),
	}
}

// put does what an action does, by itself.
func (s *Sink) put(ctx context.Context, c *call, a *types.Put) (answer, err error) {
	return c.write(ctx, "PutItem", func(ctx context.Context) error {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: a.TableName, Item: a.Item, ConditionExpression: a.ConditionExpression, ExpressionAttributeValues: a.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: onFailure,
		}, once)
		return conflict(err)
	})
}

// putHead writes the row of a shard, unless it changes nothing.
func (s *Sink) putHead(ctx context.Context, c *call, m dedup.Mark, was, next head) (done bool, err error) {
	if next == was {
		return true, nil
	}
	answer, err := s.put(ctx, c, s.headPut(m, was, next))
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
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return again{err}
	}
	return err
}

// putStripe writes a stripe, unless it is this owner's already: what was written to it since stays.
func (s *Sink) putStripe(ctx context.Context, c *call, m dedup.Mark, i int, seal marks.Seal) error {
	answer, err := s.put(ctx, c, s.stripePut(m, i, seal))
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](answer)
	if !ok {
		_, err := s.changed(ctx, c, "PutItem", answer, err)
		return err
	}
	stored, err := decodeSeal(failed.Item)
	if err != nil {
		return c.fail(ctx, "PutItem", err)
	}
	return stored.Admits(m)
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
