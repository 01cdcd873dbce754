package lease

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNamesCannotLeaveTheirGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[W/%a]{0,6}`))
		k := keys{text.Draw(t, "app"), text.Draw(t, "incarnation")}
		id := text.Draw(t, "shard")
		key := k.shard(id)
		if strings.Count(key, "/") != 3 || !strings.HasPrefix(key, k.shards()) || lastName(key) != strings.TrimPrefix(key, k.shards()) {
			t.Fatalf("shard %q of %+v has the key %q", id, k, key)
		}
		if got, err := shardID(key); err != nil || got != id {
			t.Fatalf("key %q is read as shard %q, %v, want %q", key, got, err, id)
		}
		for _, other := range []string{k.application(), k.members(), k.shards()} {
			if strings.HasPrefix(other, sessionGroup) {
				t.Fatalf("the rows %q of application %q are among the sessions'", other, k.app)
			}
		}
	})
}

func TestTwoApplicationsHaveNoRowInCommon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[WMSA/%7a]{1,5}`)
		a, b := keys{text.Draw(t, "a"), "x"}, keys{text.Draw(t, "b"), "x"}
		if a.app != b.app && (a.prefix() == b.prefix() || a.shards() == b.shards()) {
			t.Fatalf("%q and %q share %q", a.app, b.app, a.prefix())
		}
	})
}
