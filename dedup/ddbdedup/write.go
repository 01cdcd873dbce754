package ddbdedup

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
)

// Limits of a transaction: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
const (
	maxActions = 100
	maxBytes   = 4 << 20
)

// Write collects the effects of an Apply, which are actions of one transaction, on tables of the account and region of the marks. No two may be on one item: what several records of a call do to an item is to be one action. It is of
// use until the function that got it returns, and by one goroutine at a time.
type Write struct {
	actions []types.TransactWriteItem
}

// onFailure has a failed condition tell the item that failed it.
const onFailure = types.ReturnValuesOnConditionCheckFailureAllOld

// Put adds that an item is written. A condition that does not hold fails the Apply with a [*ConditionError].
func (w *Write) Put(a types.Put) {
	a.ReturnValuesOnConditionCheckFailure = onFailure
	w.actions = append(w.actions, types.TransactWriteItem{Put: &a})
}

// Update adds that an item is changed, or made. A condition that does not hold fails the Apply with a [*ConditionError].
func (w *Write) Update(a types.Update) {
	a.ReturnValuesOnConditionCheckFailure = onFailure
	w.actions = append(w.actions, types.TransactWriteItem{Update: &a})
}

// Delete adds that an item is deleted. A condition that does not hold fails the Apply with a [*ConditionError].
func (w *Write) Delete(a types.Delete) {
	a.ReturnValuesOnConditionCheckFailure = onFailure
	w.actions = append(w.actions, types.TransactWriteItem{Delete: &a})
}

// Check adds that an item is as a condition says, and stays as it is. If it is not, that fails the Apply with a [*ConditionError].
func (w *Write) Check(a types.ConditionCheck) {
	a.ReturnValuesOnConditionCheckFailure = onFailure
	w.actions = append(w.actions, types.TransactWriteItem{ConditionCheck: &a})
}

// Len is how many actions there are. Those of the marks come on top: see the package's documentation.
func (w *Write) Len() int { return len(w.actions) }

// with puts the actions of marks before those of effects. The error is a [*dedup.RolledBackError].
func (w *Write) with(marks []types.TransactWriteItem) ([]types.TransactWriteItem, error) {
	all := slices.Concat(marks, w.actions)
	bytes := 0
	for _, a := range all {
		bytes += actionSize(a)
	}
	if len(all) > maxActions || bytes > maxBytes {
		return nil, &dedup.RolledBackError{Err: &LimitError{Effects: len(w.actions), Marks: len(marks), Bytes: bytes}}
	}
	return all, nil
}

// effects has f make its effects. The error is a [*dedup.RolledBackError].
func effects(f func(w *Write, fresh []int) error, fresh []int) (*Write, error) {
	w := &Write{}
	if f == nil { // a burial
		return w, nil
	}
	if err := f(w, slices.Clone(fresh)); err != nil {
		return nil, &dedup.RolledBackError{Err: err}
	}
	return w, nil
}

// actionSize is what an action brings along, in bytes as DynamoDB counts them. What an update makes of an item only DynamoDB knows.
func actionSize(a types.TransactWriteItem) int {
	switch {
	case a.Put != nil:
		return itemSize(a.Put.Item)
	case a.Update != nil:
		return itemSize(a.Update.Key) + itemSize(a.Update.ExpressionAttributeValues)
	case a.Delete != nil:
		return itemSize(a.Delete.Key)
	case a.ConditionCheck != nil:
		return itemSize(a.ConditionCheck.Key)
	}
	return 0
}

func itemSize(it item) (n int) {
	for name, v := range maps.All(it) {
		n += len(name) + valueSize(v)
	}
	return n
}

// valueSize follows "DynamoDB item sizes and formats" in the Amazon DynamoDB Developer Guide.
func valueSize(v types.AttributeValue) (n int) {
	const nested = 3 // of a list or map, and 1 for each of its elements
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 1
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberSS:
		for _, s := range v.Value {
			n += len(s)
		}
	case *types.AttributeValueMemberNS:
		for _, s := range v.Value {
			n += len(s)/2 + 1
		}
	case *types.AttributeValueMemberBS:
		for _, b := range v.Value {
			n += len(b)
		}
	case *types.AttributeValueMemberL:
		n = nested + len(v.Value)
		for _, e := range v.Value {
			n += valueSize(e)
		}
	case *types.AttributeValueMemberM:
		n = nested + len(v.Value) + itemSize(v.Value)
	default:
		return 1
	}
	return n
}
