package lease

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// team is members without a zone, of these names.
func team(names ...string) []candidate {
	members := make([]candidate, len(names))
	for i, name := range names {
		members[i] = candidate{name: name}
	}
	return members
}

// drawn is a team and shards, some of which are held by members, by sessions that are no members, or by nobody.
func drawn(t *rapid.T) ([]candidate, []holding) {
	members := make([]candidate, rapid.IntRange(1, 9).Draw(t, "members"))
	owners := []string{"", "dead-1", "draining-2"}
	for i := range members {
		members[i].name = fmt.Sprintf("member-%d", i)
		owners = append(owners, members[i].name)
	}
	shards := make([]holding, rapid.IntRange(0, 60).Draw(t, "shards"))
	for i := range shards {
		shards[i] = holding{shard: fmt.Sprintf("shard-%02d", i), owner: rapid.SampledFrom(owners).Draw(t, "owner")}
	}
	return members, shards
}

// zoned has most members in zones, and most shards last worked on in one, which may have no member.
func zoned(t *rapid.T, members []candidate, shards []holding) {
	zones := []string{"", "a", "b", "c"}
	for i := range members {
		members[i].zone = rapid.SampledFrom(zones).Draw(t, "zone")
	}
	for i := range shards {
		shards[i].zone = rapid.SampledFrom(append(zones, "gone")).Draw(t, "last zone")
	}
}

func perMember(members []candidate, target map[string]string) map[string]int {
	n := make(map[string]int)
	for _, m := range members {
		n[m.name] = 0
	}
	for _, m := range target {
		n[m]++
	}
	return n
}

func TestAssignmentMeansEveryShardForAMemberAndSpreadsWithinOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		target := assign(members, shards, false)
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
		want := assign(members, shards, false)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		r.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
		if got := assign(members, shards, false); !maps.Equal(got, want) {
			t.Fatalf("in another order:\n%v\nwant\n%v", got, want)
		}
	})
}

func TestAssignmentMovesTheLeastThatASpreadOfOneAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		held := make(map[string]int)
		for _, m := range members {
			held[m.name] = 0
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
		for id, m := range assign(members, shards, false) {
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
		once := assign(members, shards, false)
		for i := range shards {
			shards[i].owner = once[shards[i].shard]
		}
		if twice := assign(members, shards, false); !maps.Equal(once, twice) {
			t.Fatalf("assigned twice:\n%v\nonce\n%v", twice, once)
		}
	})
}

// A quota of ⌈S/W⌉ for all leaves 49 shards on 8 workers at seven times seven and none.
func TestAssignmentOf49ShardsTo8WorkersLeavesNobodyWithout(t *testing.T) {
	members := team("member-0", "member-1", "member-2", "member-3", "member-4", "member-5", "member-6", "member-7")
	var shards []holding
	for i := range 49 {
		shards = append(shards, holding{shard: fmt.Sprintf("shard-%02d", i), owner: members[i%7].name})
	}
	n := perMember(members, assign(members, shards, false))
	if got := slices.Sorted(maps.Values(n)); !slices.Equal(got, []int{6, 6, 6, 6, 6, 6, 6, 7}) {
		t.Errorf("shards of each member: %v", got)
	}
}

func TestAssignmentWithoutMembersMeansNothingForAnybody(t *testing.T) {
	if got := assign(nil, []holding{{shard: "shard", owner: "somebody"}}, false); len(got) != 0 {
		t.Errorf("assigned: %v", got)
	}
}

// plainly is assign by count and without zones, as it is said: it sorts everything and hashes with the standard library.
func plainly(members []candidate, shards []holding) map[string]string {
	score := func(member, shard string) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s\x00%s", member, shard)
		x := h.Sum64()
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	held := make(map[string][]string)
	for _, m := range members {
		held[m.name] = nil
	}
	var pool []string
	for _, s := range shards {
		if _, member := held[s.owner]; member {
			held[s.owner] = append(held[s.owner], s.shard)
		} else {
			pool = append(pool, s.shard)
		}
	}
	least := len(shards) / len(members)
	bySize := slices.SortedFunc(maps.Keys(held), func(a, b string) int {
		return cmp.Or(cmp.Compare(max(least, len(held[b])), max(least, len(held[a]))), strings.Compare(a, b))
	})
	target, room := make(map[string]string), make(map[string]int)
	for i, m := range bySize {
		room[m] = least
		if i < len(shards)%len(members) {
			room[m]++
		}
		slices.SortFunc(held[m], func(a, b string) int { return cmp.Or(cmp.Compare(score(m, b), score(m, a)), strings.Compare(a, b)) })
		for _, shard := range held[m] {
			if room[m] > 0 {
				target[shard] = m
				room[m]--
			} else {
				pool = append(pool, shard)
			}
		}
	}
	for _, shard := range slices.Sorted(slices.Values(pool)) {
		open := slices.DeleteFunc(slices.Clone(bySize), func(m string) bool { return room[m] == 0 })
		target[shard] = slices.MaxFunc(open, func(a, b string) int {
			return cmp.Or(cmp.Compare(score(a, shard), score(b, shard)), strings.Compare(b, a))
		})
		room[target[shard]]--
	}
	return target
}

func TestAssignmentByCountIsAsItIsSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		for i := range shards {
			shards[i].weight = rapid.Uint64().Draw(t, "weight that does not count")
		}
		if got, want := assign(members, shards, false), plainly(members, shards); !maps.Equal(got, want) {
			t.Fatalf("assigned:\n%v\nwant\n%v", got, want)
		}
	})
}

// Workers of two versions run side by side: what this one computes is what every other computes.
func TestAssignmentIsTheSameInEveryVersion(t *testing.T) {
	members := team("ada", "bob", "cyd")
	var shards []holding
	for i, owner := range []string{"ada", "ada", "ada", "ada", "bob", "", "gone"} {
		shards = append(shards, holding{shard: fmt.Sprintf("shardId-%012d", i), owner: owner})
	}
	got := ""
	target := assign(members, shards, false)
	for _, s := range shards {
		got += target[s.shard] + " "
	}
	if want := "ada bob ada ada bob cyd cyd "; got != want {
		t.Errorf("assigned: %s, want %s", got, want)
	}
}

func TestZonesCostNoMoveAndNoBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		without := assign(members, shards, false)
		zoned(t, members, shards)
		with := assign(members, shards, false)
		if a, b := sizes(members, without), sizes(members, with); !slices.Equal(a, b) {
			t.Fatalf("shards of the members: %v with zones, %v without", b, a)
		}
		stay := func(target map[string]string) (n int) {
			for _, s := range shards {
				if target[s.shard] == s.owner {
					n++
				}
			}
			return n
		}
		if a, b := stay(without), stay(with); a != b {
			t.Fatalf("%d shards stay with zones, %d without", b, a)
		}
		for i := range shards {
			shards[i].owner = with[shards[i].shard]
		}
		zoned(t, members, shards)
		if again := assign(members, shards, false); !maps.Equal(again, with) {
			t.Fatalf("shards of live members within their quota moved when zones changed:\n%v\nwere\n%v", again, with)
		}
	})
}

func TestAShardThatIsPlacedStaysInItsZoneIfThereIsRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		zoned(t, members, shards)
		target := assign(members, shards, false)
		zone := make(map[string]string)
		for _, m := range members {
			zone[m.name] = m.zone
		}
		// Every member is full. So of a shard that was placed elsewhere, the members of its zone must not have been given one of another.
		for _, s := range shards {
			if s.zone == "" || target[s.shard] == s.owner || zone[target[s.shard]] == s.zone {
				continue
			}
			for _, other := range shards {
				if to := target[other.shard]; zone[to] == s.zone && to != other.owner && other.zone != s.zone {
					t.Fatalf("%v is placed in zone %q, and %v in the zone that it came from", s, zone[target[s.shard]], other)
				}
			}
		}
	})
}

func TestAMemberThatGivesUpShardsKeepsThoseOfItsZone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		zoned(t, members, shards)
		zone := make(map[string]string)
		for _, m := range members {
			zone[m.name] = m.zone
		}
		target := assign(members, shards, false)
		for _, gone := range shards {
			for _, kept := range shards {
				home, member := zone[gone.owner]
				if member && kept.owner == gone.owner && target[gone.shard] != gone.owner && target[kept.shard] == kept.owner &&
					home != "" && gone.zone == home && kept.zone != home {
					t.Fatalf("%s of zone %q keeps %v and gives up %v", gone.owner, home, kept, gone)
				}
			}
		}
	})
}

// sizes is how many shards each member has, in the order of the members.
func sizes(members []candidate, target map[string]string) []int {
	n := perMember(members, target)
	var sizes []int
	for _, m := range members {
		sizes = append(sizes, n[m.name])
	}
	return sizes
}

// large is 10,000 shards and 100 members, with names as long as real ones.
func large(weights bool) ([]candidate, []holding) {
	r := rand.New(rand.NewPCG(1, 2))
	members := make([]candidate, 100)
	for i := range members {
		members[i] = candidate{fmt.Sprintf("worker-%02d.example-%016x%016x", i, r.Uint64(), r.Uint64()), fmt.Sprintf("eu-west-1%c", 'a'+i%3)}
	}
	shards := make([]holding, 10_000)
	for i := range shards {
		shards[i] = holding{shard: fmt.Sprintf("shardId-%012d", i), zone: members[i%3].zone}
		if weights {
			shards[i].weight = uint64(r.IntN(1 << 20))
		}
	}
	r.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
	return members, shards
}

func BenchmarkAssign(b *testing.B) {
	for _, byWeight := range []bool{false, true} {
		by := map[bool]string{false: "count", true: "weight"}[byWeight]
		members, shards := large(byWeight)
		settle := func(members []candidate) []holding {
			settled := slices.Clone(shards)
			for i, target := 0, assign(members, shards, byWeight); i < len(settled); i++ {
				settled[i].owner = target[settled[i].shard]
			}
			return settled
		}
		for _, c := range []struct {
			name   string
			shards []holding
		}{
			{"rest", settle(members)},
			{"death", settle(append(team("dead"), members[1:]...))},
			{"join", settle(members[1:])},
			{"twice", settle(members[50:])},
			{"cold", shards},
		} {
			b.Run(by+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					assign(members, c.shards, byWeight)
				}
			})
		}
	}
}

// Who has seen that some orphans were taken as meant, and who has not, mean the others for the same members: or two would take one, and it would move again.
func TestTakesThatOnlySomeHaveSeenChangeNoOtherTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, shards := drawn(t)
		target := assign(members, shards, false)
		for i := range shards {
			if held := slices.ContainsFunc(members, func(m candidate) bool { return m.name == shards[i].owner }); !held && rapid.Bool().Draw(t, "seen") {
				shards[i].owner = target[shards[i].shard]
			}
		}
		if again := assign(members, shards, false); !maps.Equal(again, target) {
			t.Fatalf("assigned:\n%v\nand, with some of it done,\n%v", target, again)
		}
	})
}
