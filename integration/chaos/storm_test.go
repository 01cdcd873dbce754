package main

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/internal/torment"
)

// A cut that is to be long outlasts a lease, and a short one does not outlast what its owner may act on it for.
func TestCutsLastLongerOrShorterThanALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range slices.Concat(proxied(true), []cut{{mode: deedHold}, {mode: deedHold, long: true}}) {
			held := 0
			st := &storage{hold: func(context.Context) (func() error, error) {
				held++
				return func() error { held--; return nil }, nil
			}}
			to := &tormentor{crew: &crew{Crew: &torment.Crew{}, storage: st}, log: io.Discard}
			c.all = true
			begun := time.Now()
			if err := (storm{timing: swift}).cutOff(t.Context(), to, rand.New(rand.NewPCG(1, 1)), c); err != nil {
				t.Fatal(err)
			}
			lasted := time.Since(begun)
			if c.long && lasted <= swift.Expiry || !c.long && lasted >= swift.Expiry*4/5 {
				t.Errorf("%+v lasted %v", c, lasted)
			}
			if held != 0 || to.deeds[0].Kind != string(c.mode) || !to.deeds[0].cuts() {
				t.Errorf("%+v: %d held, noted as %+v", c, held, to.deeds)
			}
		}
	})
}
