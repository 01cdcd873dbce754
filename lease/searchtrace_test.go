//go:build !race

package lease

import (
	"fmt"
	"slices"
	"strings"
)

// path gives the states by which the search first came to one.
func (e *explorer) path(n uint32) (path []key) {
	for ; n != 0; n = e.states.from[n] {
		path = append(path, e.keys[n])
	}
	slices.Reverse(path)
	return path
}

// trace gives the steps of a path, one a line. Processes keep their names in it, and each line says how the world is afterwards.
func (e *explorer) trace(path []key) string {
	x := e.start()
	var out strings.Builder
	for i, k := range path {
		var s step
		x, s = e.towards(x, k)
		fmt.Fprintf(&out, "%3d %-73s %s\n", i+1, s, e.describe(&x))
	}
	return out.String()
}

// fairWalk gives what happens from a state when nothing fails any more, as far as it does not repeat itself.
func (e *explorer) fairWalk(n uint32) (walk []key) {
	for been := map[uint32]bool{n: true}; !been[e.fair[n]]; been[n] = true {
		n = e.fair[n]
		walk = append(walk, e.keys[n])
	}
	return walk
}

// towards makes the step of x that leads to a world with this key.
func (e *explorer) towards(x world, to key) (world, step) {
	var next *world
	var made step
	e.watch = func(y world, s step) {
		z := y
		if !e.rules.listsFirst {
			z.sorted(e.workers)
		}
		if next == nil && e.pack(&z) == to {
			next, made = &y, s
		}
	}
	defer func() { e.watch = nil }()
	e.everyStep(&x)
	return *next, made
}

func (e *explorer) describe(x *world) string {
	var out strings.Builder
	for shard, row := range x.rows {
		if row.state == isAbsent {
			continue
		}
		owner := "nobody"
		if i, k, owned := x.owner(uint8(shard)); owned {
			owner = fmt.Sprintf("%c%s", 'A'+i, [2]string{"", "'"}[k])
		}
		if row.state == isEnded {
			owner = "ended"
		}
		fmt.Fprintf(&out, "%s: %s at %d; ", searchIDs[shard], owner, row.pos)
	}
	for i := range x.procs[:e.workers] {
		p := &x.procs[i]
		says := [...]string{"new", "joined", "member", "over"}[p.phase]
		if e.valid(p) {
			says = fmt.Sprintf("valid %d", e.own-p.valid)
		}
		fmt.Fprintf(&out, "%c %s %s", 'A'+i, says, [...]string{"no row", "alive", "dead"}[p.w[0].state])
		for _, k := range p.work {
			out.WriteString([...]string{"", " works", " releases", " ends", " runs on"}[k.on])
		}
		if p.late.kind != 0 {
			out.WriteString(" (late)")
		}
		out.WriteString("; ")
	}
	return strings.TrimSuffix(out.String(), "; ")
}
