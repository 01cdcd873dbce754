package torment

import (
	"math/rand/v2"
	"testing"
)

func TestSomeWorkersAreLeftInPeace(t *testing.T) {
	c := &Crew{}
	for range Untouched + 1 {
		c.members = append(c.members, &Worker{Ended: make(chan struct{})})
	}
	r := rand.New(rand.NewPCG(1, 1))
	first, release, err := c.Pick(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := c.choose(r, nil); w != nil {
		t.Errorf("chose %v, and then %v", first, w)
	}
	release()
	if w := c.choose(r, func(w *Worker) bool { return false }); w != nil {
		t.Errorf("chose %v, which does not fit", w)
	}
	close(c.members[0].Ended)
	if w := c.choose(r, nil); w != nil {
		t.Errorf("chose %v of the last %d", w, Untouched)
	}
}
