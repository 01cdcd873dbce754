//go:build engines

package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer/ddbsource"
)

// Each view type has the images that it promises, for every event.
func TestChangesUnderEachViewType(t *testing.T) {
	t.Parallel()
	for view, want := range map[types.StreamViewType][]string{
		types.StreamViewTypeKeysOnly:        {"INSERT a - -", "MODIFY a - -", "REMOVE a - -"},
		types.StreamViewTypeNewImage:        {"INSERT a - a1", "MODIFY a - a2", "REMOVE a - -"},
		types.StreamViewTypeOldImage:        {"INSERT a - -", "MODIFY a a1 -", "REMOVE a a2 -"},
		types.StreamViewTypeNewAndOldImages: {"INSERT a - a1", "MODIFY a a1 a2", "REMOVE a a2 -"},
	} {
		t.Run(string(view), func(t *testing.T) {
			t.Parallel()
			tab := newTable(t, stack.Clients, view)
			b := newBench(t, stack.Clients, tab)
			var mu sync.Mutex
			var got []string
			cfg := b.config("worker", b.clients)
			cfg.Handler = ddbsource.Each(func(_ context.Context, c ddbsource.Change[row]) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s %s %s %s", c.Event, c.Key.ID, image(c.Old), image(c.New)))
				return nil
			})
			l := run(t, cfg)
			for _, n := range []string{"1", "2", "2"} { // what changes nothing is no event
				tab.putAttribute(t, "a", &types.AttributeValueMemberN{Value: n})
			}
			_, err := tab.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
				TableName: &tab.table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "a"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := func() []string {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(got)
			}
			eventually(t, func() string { return fmt.Sprintf("changes %q, want %q", seen(), want) },
				func() bool { return len(seen()) >= len(want) })
			l.mustStop(t)
			if !slices.Equal(seen(), want) {
				t.Errorf("changes %q, want %q", seen(), want)
			}
		})
	}
}

func image(r *row) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%s%d", r.ID, r.N)
}
