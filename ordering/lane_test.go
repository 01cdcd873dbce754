package ordering

import "testing"

func TestLaneTellsWhoWaitsForWhom(t *testing.T) {
	var l Lanes
	a, b, alone, again := l.Add("a"), l.Add("b"), l.AddAlone(), l.Add("a")
	if l.Lane(a) != l.Lane(again) {
		t.Error("two records of one key are in two lanes")
	}
	if l.Lane(a) == l.Lane(b) || l.Lane(a) == l.Lane(alone) || l.Lane(b) == l.Lane(alone) {
		t.Error("two keys share a lane")
	}
}
