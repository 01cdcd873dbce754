package deadletter_test

import (
	"slices"
	"testing"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

func TestKeysAreListedOnceWithoutPayloads(t *testing.T) {
	s := &tapped{Store: memletters.New()}
	put(t, s, letters("b", 3)...)
	put(t, s, letters("", 2)...)
	put(t, s, letters("a", 2)...)
	var got []string
	for key, err := range deadletter.Keys(t.Context(), s, deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, []string{"", "a", "b"}) || len(s.queries) != 1 || !s.queries[0].Heads {
		t.Errorf("the keys are %q, read by %+v; want each once, by heads", got, s.queries)
	}
	for _, err := range deadletter.Keys(t.Context(), s, deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		break // and a listing can be left early
	}
}
