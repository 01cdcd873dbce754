package lease

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawn is a team and shards, some of which are held by members, by sessions that are no members, or by nobody.
func drawn(t *rapid.T) ([]string, []holding) {
	members := make([]string, rapid.IntRange(1, 9).Draw(t, "members"))
	owners := []string{"", "dead-1", "draining-2"}
	for i := range members {
		members[i] = fmt.Sprintf("member-%d", i)
	}
	owners = append(owners, members...)
	shards := make([]holding, rapid.IntRange(0, 60).Draw(t, "shards"))
	for i := range shards {
		shards[i] = holding{fmt.Sprintf("shard-%02d", i), rapid.SampledFrom(owners).Draw(t, "owner")}
	}
	return members, shards
}

func perMember(members []string, target map[string]string) map[string]int {
	n := make(map[string]int)
	for _, m := range members {
		n[m] = 0
	}
	for _, m := range target {
		n[m]++
	}
	return n
}

func TestAssignmentMeansEveryShardForAMemberAndSpreadsWithinOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		target := assign(members, shards)
		if len(target) != len(shards) {
			t.Fatalf("%d shards are meant for somebody, want all %d", len(target), len(shards))
		}
		n := perMember(members, target)
		if len(n) != len(members) {
			t.Fatalf("shards are meant for %v, members are %v", slices.Sorted(maps.Keys(n)), members)
		}
		counts := slices.Collect(maps.Values(n))
		if slices.Max(counts)-slices.Min(counts) > 1 {
			t.Fatalf("spread: %v", n)
		}
	})
}

func TestAssignmentDoesNotDependOnTheOrderOfItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		want := assign(members, shards)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		r.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
		if got := assign(members, shards); !maps.Equal(got, want) {
			t.Fatalf("in another order:\n%v\nwant\n%v", got, want)
		}
	})
}

func TestAssignmentMovesTheLeastThatASpreadOfOneAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		held := make(map[string]int)
		for _, m := range members {
			held[m] = 0
		}
		for _, s := range shards {
			if _, member := held[s.owner]; member {
				held[s.owner]++
			}
		}
		low, more := len(shards)/len(members), len(shards)%len(members)
		stay := 0 // at most: everybody keeps up to the quota, and so many members one more
		for _, n := range slices.Backward(slices.Sorted(maps.Values(held))) {
			quota := low
			if more > 0 {
				quota, more = low+1, more-1
			}
			stay += min(n, quota)
		}
		got := 0
		for id, m := range assign(members, shards) {
			for _, s := range shards {
				if s.shard == id && s.owner == m {
					got++
				}
			}
		}
		if got != stay {
			t.Fatalf("%d shards stay, want %d", got, stay)
		}
	})
}

func TestAssignmentLeavesItsOwnResultAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		once := assign(members, shards)
		for i := range shards {
			shards[i].owner = once[shards[i].shard]
		}
		if twice := assign(members, shards); !maps.Equal(once, twice) {
			t.Fatalf("assigned twice:\n%v\nonce\n%v", twice, once)
		}
	})
}

// A quota of ⌈S/W⌉ for all leaves 49 shards on 8 workers at seven times seven and none.
func TestAssignmentOf49ShardsTo8WorkersLeavesNobodyWithout(t *testing.T) {
	var members []string
	var shards []holding
	for i := range 8 {
		members = append(members, fmt.Sprintf("member-%d", i))
	}
	for i := range 49 {
		shards = append(shards, holding{fmt.Sprintf("shard-%02d", i), members[i%7]})
	}
	n := perMember(members, assign(members, shards))
	if got := slices.Sorted(maps.Values(n)); !slices.Equal(got, []int{6, 6, 6, 6, 6, 6, 6, 7}) {
		t.Errorf("shards of each member: %v", got)
	}
}

func TestAssignmentWithoutMembersMeansNothingForAnybody(t *testing.T) {
	if got := assign(nil, []holding{{"shard", "somebody"}}); len(got) != 0 {
		t.Errorf("assigned: %v", got)
	}
}
