package sourcetest

import "testing"

// group is exams on one stream. They run in order, and none changes what a later one relies on.
type group struct {
	name   string
	shards int // how many open shards the stream begins with; 0: the group makes none
	needs  []Ability
	begin  func(tb testing.TB, x *subject) // fills the stream; may be nil
	exams  []exam
}

type exam struct {
	name  string
	needs []Ability
	run   func(tb testing.TB, x *subject)
}

func groups() []group {
	return []group{held(), live(), ended(), merged(), instants(), iterators(), trimmed(), recreated(), aggregated(), missing()}
}

// run runs all groups; sub runs a part of the test under a name and returns when it has ended.
func run(tb testing.TB, d Driver, sub func(tb testing.TB, name string, f func(tb testing.TB))) {
	tb.Helper()
	for a, why := range d.Lacks {
		if why == "" {
			tb.Errorf("Driver.Lacks has %s without a reason", a)
		}
	}
	for _, g := range groups() {
		if d.lacks(tb, g.name, g.needs) {
			continue
		}
		sub(tb, g.name, func(tb testing.TB) {
			x := newSubject(tb, d, g.shards)
			if g.begin != nil {
				g.begin(tb, x)
			}
			for _, e := range g.exams {
				if !d.lacks(tb, g.name+"/"+e.name, e.needs) {
					sub(tb, e.name, func(tb testing.TB) { e.run(tb, x) })
				}
			}
		})
	}
}

// lacks tells whether the driver cannot do what a test needs, and says so in tb's log.
func (d Driver) lacks(tb testing.TB, test string, needs []Ability) bool {
	tb.Helper()
	for _, a := range needs {
		if why, ok := d.Lacks[a]; ok {
			tb.Logf("%s is not run: the endpoint lacks %s: %s", test, a, why)
			return true
		}
	}
	return false
}
