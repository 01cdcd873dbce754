package ordering_test

import (
	"fmt"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/ordering"
)

// Four workers handle what a mutex guards: side by side, and each key in its order.
func ExampleLanes() {
	records := strings.Fields("ann:1 bob:1 ann:2 cid:1 bob:2 ann:3 dan:1 cid:2")
	var (
		mu      sync.Mutex
		lanes   ordering.Lanes
		handled = make(map[string][]string)
		workers sync.WaitGroup
	)
	for _, r := range records {
		key, _, _ := strings.Cut(r, ":")
		lanes.Add(key)
	}
	// handle runs without the mutex, and never for one key in two workers.
	handle := func(string) {}

	more := sync.NewCond(&mu)
	for range 4 {
		workers.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for lanes.Unfinished() > 0 {
				batch := lanes.Take(nil, 1, nil)
				if len(batch) == 0 { // each key that has records left is with a worker
					more.Wait()
					continue
				}
				record := records[batch[0]]
				mu.Unlock()
				handle(record)
				mu.Lock()
				key, value, _ := strings.Cut(record, ":")
				handled[key] = append(handled[key], value)
				lanes.Done(batch[0])
				more.Broadcast()
			}
		})
	}
	workers.Wait()
	fmt.Println(handled)
	fmt.Println("all below", lanes.Watermark(), "are done")
	// Output:
	// map[ann:[1 2 3] bob:[1 2] cid:[1 2] dan:[1]]
	// all below 8 are done
}

// A call that failed is halved until the record that is to blame is alone: each part of it may come again at once, but in calls half as long.
func ExampleLanes_Back() {
	var lanes ordering.Lanes
	for range 8 {
		lanes.Add("ann")
	}
	for lanes.Unfinished() > 0 {
		batch := lanes.Take(nil, 8, nil)
		poisoned := batch[0] <= 5 && 5 <= batch[len(batch)-1]
		fmt.Println(batch, "poisoned:", poisoned)
		for _, o := range batch {
			if poisoned && len(batch) > 1 {
				lanes.Back(o, 0, (len(batch)+1)/2)
			} else {
				lanes.Done(o) // the poison, too: given up
			}
		}
	}
	// Output:
	// [0 1 2 3 4 5 6 7] poisoned: true
	// [0 1 2 3] poisoned: false
	// [4 5 6 7] poisoned: true
	// [4 5] poisoned: true
	// [4] poisoned: false
	// [5] poisoned: true
	// [6 7] poisoned: false
}

// What is done above the watermark is named by its distance from it, so that it can be kept beside a position.
func ExampleLanes_Above() {
	var lanes ordering.Lanes
	for _, key := range []string{"ann", "bob", "ann", "cid"} {
		lanes.Add(key)
	}
	for _, o := range lanes.Take(nil, 4, nil) {
		if o != 0 && o != 2 { // ann is slow
			lanes.Done(o)
		}
	}
	fmt.Println("all below", lanes.Watermark(), "are done")
	for distance := range lanes.Above() {
		fmt.Println("so is", lanes.Watermark()+uint64(distance))
	}
	// Output:
	// all below 0 are done
	// so is 1
	// so is 3
}
