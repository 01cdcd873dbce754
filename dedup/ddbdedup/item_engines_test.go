//go:build engines

package ddbdedup_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

// items is an Item on a table of counters.
type items struct {
	*database
	ddbdedup.Item
}

func newItems(t *testing.T) items {
	d := newDatabase(t)
	return items{d, ddbdedup.Item{Client: stack.Through(d.wire.through).DynamoDB()}}
}

// adds adds one to the counter of the mark's key, and tells whether it was done.
func (i items) adds(ctx context.Context, m dedup.Mark) (bool, error) {
	out, err := i.Update(ctx, m, &dynamodb.UpdateItemInput{
		TableName: &i.counters, Key: item{"name": text(m.Key)},
		UpdateExpression: aws.String("ADD sum_of :n"), ExpressionAttributeValues: item{":n": number(1)},
	})
	return out != nil, err
}

// wants has a mark be applied, or be a repeat, or be refused.
func (i items) wants(t *testing.T, m dedup.Mark, applied bool, target error) {
	t.Helper()
	before, err := i.total(t.Context(), m.Key)
	if err != nil {
		t.Fatal(err)
	}
	done, err := i.adds(t.Context(), m)
	if done != applied || (target == nil) != (err == nil) || !errors.Is(err, target) {
		t.Fatalf("record %.90s of %s, epoch %d: done %t, %v; want %t, %v", m.Position, m.Shard, m.Epoch, done, err, applied, target)
	}
	after, err := i.total(t.Context(), m.Key)
	if err != nil {
		t.Fatal(err)
	}
	if more := after - before; applied != (more == 1) || more > 1 {
		t.Fatalf("record %.90s of %s, epoch %d, added %d", m.Position, m.Shard, m.Epoch, more)
	}
}

func ofItem(shard string, epoch, n uint64) dedup.Mark {
	return dedup.Mark{
		App: "app", Stream: "orders", Shard: shard, Scope: dedup.PerKey, Key: "key", Position: checkpoint.Offset(n), Epoch: epoch, Session: fmt.Sprintf("session %d", epoch), Generation: 1,
	}
}

func TestAnItemIsChangedOnceByARecord(t *testing.T) {
	i := newItems(t)
	i.wants(t, ofItem("s", 1, 5), true, nil)
	i.wants(t, ofItem("s", 1, 5), false, nil)
	i.wants(t, ofItem("s", 1, 4), false, nil)
	i.wants(t, ofItem("s", 1, 9), true, nil)
	i.wants(t, ofItem("s", 3, 9), false, nil)
	i.wants(t, ofItem("s", 3, 10), true, nil)
	i.wants(t, ofItem("s", 2, 11), false, dedup.ErrFenced)
	i.wants(t, ofItem("s", 2, 9), false, dedup.ErrFenced)
	other := ofItem("s", 3, 11)
	other.Session = "another"
	i.wants(t, other, false, dedup.ErrFenced)
}

// A parent's key at a high epoch, then its child's first take: epochs rise along a lineage, so that the child outranks it, and what comes of the parent afterwards is of a zombie.
func TestAParentsKeyAtAHighEpochThenItsChildsFirstTake(t *testing.T) {
	i := newItems(t)
	i.wants(t, ofItem("parent", 41, 900), true, nil)
	i.wants(t, ofItem("child", 42, 5), true, nil)
	i.wants(t, ofItem("child", 42, 5), false, nil)
	i.wants(t, ofItem("parent", 41, 901), false, dedup.ErrFenced)
	i.wants(t, ofItem("child", 42, 900), true, nil)
	i.wants(t, ofItem("child", 43, 901), true, nil)
	// A sequence that is greater, in another shard at the same epoch, says nothing.
	i.wants(t, ofItem("stranger", 43, 999), false, dedup.ErrFenced)
	stored := ofItem("stranger", 43, 999)
	_, err := i.adds(t.Context(), stored)
	var refused *dedup.RefusedError
	if !errors.As(err, &refused) || refused.Shard != "child" || refused.Epoch != 43 || refused.Session != "session 43" || refused.Generation != 1 {
		t.Errorf("%+v; want whose the item is", err)
	}
}

func TestAResetAppliesAgainToAnItem(t *testing.T) {
	i := newItems(t)
	i.wants(t, ofItem("s", 4, 5), true, nil)
	again := ofItem("s", 5, 3)
	again.Generation = 2
	i.wants(t, again, true, nil)
	i.wants(t, again, false, nil)
	i.wants(t, ofItem("s", 6, 9), false, dedup.ErrGeneration)
}

// Sequences of Kinesis have 56 digits: those that differ in the last one are two records.
func TestNeighboursOf56DigitsAreTwoRecordsToAnItem(t *testing.T) {
	i := newItems(t)
	m := ofItem("s", 1, 0)
	for n := range 3 {
		p, err := checkpoint.Sequence(fmt.Sprintf("4965432109876543210987654321098765432109876543210987654%d", n))
		if err != nil {
			t.Fatal(err)
		}
		m.Position = p
		i.wants(t, m, true, nil)
		i.wants(t, m, false, nil)
	}
}

func TestTheUsersConditionIsToldFromARepeatAndAFence(t *testing.T) {
	i := newItems(t)
	put := func(m dedup.Mark) (*dynamodb.PutItemOutput, error) {
		return i.Put(t.Context(), m, &dynamodb.PutItemInput{
			TableName: &i.counters, Item: item{"name": text("key"), "sum_of": number(7)},
			ConditionExpression: aws.String("attribute_not_exists(#runnel) OR #runnel < :runnel"), ExpressionAttributeNames: map[string]string{"#runnel": "sum_of"}, ExpressionAttributeValues: item{":runnel": number(7)},
		})
	}
	if out, err := put(ofItem("s", 2, 1)); out == nil || err != nil {
		t.Fatalf("at first: %v", err)
	}
	if out, err := put(ofItem("s", 2, 1)); out != nil || err != nil {
		t.Errorf("a repeat, whose condition does not hold any more: %v, %v; want nil", out, err)
	}
	if _, err := put(ofItem("s", 1, 2)); !errors.Is(err, dedup.ErrFenced) {
		t.Errorf("a zombie: %v; want dedup.ErrFenced", err)
	}
	_, err := put(ofItem("s", 2, 2))
	var back *dedup.RolledBackError
	var condition *ddbdedup.ConditionError
	if !errors.As(err, &back) || !errors.As(err, &condition) || condition.Item["sum_of"].(*types.AttributeValueMemberN).Value != "7" {
		t.Errorf("a condition that does not hold: %v; want a *ConditionError with the item", err)
	}
	// The refused record left no mark: it is fresh yet.
	i.wants(t, ofItem("s", 2, 2), true, nil)
}

func TestALostAnswerIsSettledByTheItem(t *testing.T) {
	for _, lost := range []part{request, answer} {
		i := newItems(t)
		i.wire.lose(lost, nil)
		if _, err := i.adds(t.Context(), ofItem("s", 1, 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := i.total(t.Context(), "key"); n != 1 || err != nil {
			t.Errorf("%d, %v; want 1", n, err)
		}
	}
}

func TestAWriteOfAnItemThatIsNeverAnsweredIsUnsettled(t *testing.T) {
	i := newItems(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	i.wire.on(func(_ string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error) {
		cancel()
		resp, err := send(body)
		if err == nil {
			err = resp.Body.Close()
		}
		return nil, errors.Join(errLost, err)
	})
	if _, err := i.adds(ctx, ofItem("s", 1, 1)); !errors.Is(err, dedup.ErrUnsettled) || errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("%v; want dedup.ErrUnsettled", err)
	}
	i.wire.on(nil)
	i.wire.cut(true)
	if _, err := i.adds(t.Context(), ofItem("s", 1, 2)); !errors.Is(err, dedup.ErrUnavailable) || errors.Is(err, dedup.ErrUnsettled) {
		t.Errorf("%v; want dedup.ErrUnavailable", err)
	}
}

// A letter is applied if its item has not gone on, by whatever epoch its own was; one behind which it has is refused, for nothing tells whether it was applied.
func TestALetterIsRedrivenToAnItemThatHasNotGoneOn(t *testing.T) {
	i := newItems(t)
	letter := func(shard string, epoch, n uint64) dedup.Mark {
		m := ofItem(shard, epoch, n)
		m.Session, m.Redrive = "", true
		return m
	}
	i.wants(t, letter("s", 1, 3), true, nil)
	i.wants(t, letter("s", 1, 3), false, nil)
	i.wants(t, ofItem("s", 4, 5), true, nil)
	i.wants(t, letter("s", 1, 7), true, nil)
	i.wants(t, letter("s", 1, 7), false, nil)
	i.wants(t, letter("s", 1, 6), false, ddbdedup.ErrPassed)
	i.wants(t, ofItem("s", 3, 8), false, dedup.ErrFenced) // the letter has not lowered the fence
	i.wants(t, letter("child", 5, 1), true, nil)
	i.wants(t, letter("s", 4, 9), false, ddbdedup.ErrPassed)
}

// The condition that DynamoDB evaluates and the rule by which its refusals are told apart are one.
func TestTheConditionIsTheRule(t *testing.T) {
	i := newItems(t)
	var all []dedup.Mark
	for generation := range uint64(2) {
		for _, shard := range []string{"s", "z"} {
			for _, session := range []string{"a", "b"} {
				for n := range uint64(2) {
					for epoch := range uint64(2) {
						m := ofItem(shard, epoch+1, n+1)
						m.Generation, m.Session = generation+1, session
						all = append(all, m)
					}
				}
			}
		}
	}
	for n, stored := range all {
		for _, m := range all {
			stored.Key, m.Key = fmt.Sprintf("key %d %d", n, m.Epoch), fmt.Sprintf("key %d %d", n, m.Epoch)
			if _, err := i.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &i.counters, Key: item{"name": text(m.Key)}}); err != nil {
				t.Fatal(err)
			}
			if done, err := i.adds(t.Context(), stored); !done || err != nil {
				t.Fatal(err)
			}
			fresh, target := rule(stored, m)
			i.wants(t, m, fresh, target)
		}
	}
}

// rule is what a stored mark says of another, in the words of the documentation.
func rule(stored, m dedup.Mark) (bool, error) {
	if m.Generation != stored.Generation {
		if m.Generation > stored.Generation {
			return true, nil
		}
		return false, dedup.ErrGeneration
	}
	if m.Shard != stored.Shard {
		if m.Epoch > stored.Epoch {
			return true, nil
		}
		return false, dedup.ErrFenced
	}
	if m.Epoch < stored.Epoch || m.Epoch == stored.Epoch && m.Session != stored.Session {
		return false, dedup.ErrFenced
	}
	return stored.Position.Before(m.Position), nil
}
