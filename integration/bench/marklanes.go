package main

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// laneWidths are how many workers go on side by side in one shard.
var laneWidths = []int{1, 2, 4, 8, 16, 32}

const (
	// laneBatch is how many records of its key a worker applies at a time.
	laneBatch = 10
	// laneSlice is how long a side is measured before it is another's turn, and laneSlices how often it is in a round.
	laneSlice  = 250 * time.Millisecond
	laneSlices = 4
	// fullShare is what a worker must get done of what it does alone, for so many workers to count as scaling.
	fullShare = 0.8
)

// laneHandlers wait in their transactions, while all that is locked stays so.
var laneHandlers = []struct {
	name string
	wait time.Duration
}{{"none", 0}, {"10ms", handlerTime}}

// laneSides take turns.
var laneSides = []string{effectsSide, keySide}

func markLaneName(store, handler, side string, workers int) string {
	return fmt.Sprintf("MarkLanes/store=%s/handler=%s/workers=%d/side=%s", store, handler, workers, side)
}

func markScaleName(store, handler, side string) string {
	return fmt.Sprintf("MarkLanes/store=%s/handler=%s/side=%s", store, handler, side)
}

// markLanes measures how many transactions workers end that apply keys of one shard side by side, with and without marks.
func markLanes(ctx context.Context, o options, r *report, store string, db slowDB, from int64) error {
	if _, err := db.Seal(ctx, marked(laneShard)); err != nil {
		return err
	}
	var last atomic.Int64
	last.Store(from)
	for range cmp.Or(o.Count, 3) {
		for _, h := range laneHandlers {
			if err := laneRound(ctx, r, store, h.name, db.slow(h.wait), &last); err != nil {
				return err
			}
		}
	}
	return nil
}

const laneShard = "lanes"

// laneRound has both sides in turns with each number of workers.
func laneRound(ctx context.Context, r *report, store, handler string, db ordersDB, last *atomic.Int64) error {
	sides := laneSides
	alone, scaled := make(map[string]float64), make(map[string]int)
	for _, workers := range laneWidths {
		ended, took := make(map[string]int64), make(map[string]time.Duration)
		for n := range laneSlices * len(sides) {
			side := sides[(n+n/len(sides))%len(sides)]
			begun := time.Now()
			count, err := laneTurn(ctx, db, side, workers, last)
			if err != nil {
				return fmt.Errorf("%d workers: %s: %w", workers, side, err)
			}
			ended[side] += count
			took[side] += time.Since(begun)
		}
		perSecond := func(side string) float64 { return float64(ended[side]) / took[side].Seconds() }
		for _, side := range sides {
			rate := perSecond(side)
			if workers == 1 {
				alone[side] = rate
			}
			if rate >= fullShare*float64(workers)*alone[side] {
				scaled[side] = workers
			}
			r.result(markLaneName(store, handler, side, workers), metric{rate, "tx/s"}, metric{rate / alone[side], "x-one-worker"}, metric{perSecond(effectsSide) / rate, effectsUnit})
		}
	}
	for _, side := range sides {
		r.result(markScaleName(store, handler, side), metric{float64(scaled[side]), "scales-to-workers"})
	}
	return nil
}

// laneTurn has workers apply batches, each of its own key, for a while, and tells how many they ended.
func laneTurn(ctx context.Context, db ordersDB, side string, workers int, last *atomic.Int64) (int64, error) {
	group, ctx := errgroup.WithContext(ctx)
	until := time.Now().Add(laneSlice)
	var ended atomic.Int64
	for w := range workers {
		group.Go(func() error {
			for time.Now().Before(until) {
				rs, err := ordersFrom(last.Add(laneBatch)-laneBatch, laneBatch)
				if err != nil {
					return err
				}
				for i := range rs {
					rs[i].key = fmt.Sprintf("key-%d", w)
				}
				if hasMarks(side) {
					err = db.once(ctx, marksOf(marked(laneShard), rs), rs)
				} else {
					err = db.alone(ctx, rs)
				}
				if err != nil {
					return err
				}
				ended.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return ended.Load(), err
}
