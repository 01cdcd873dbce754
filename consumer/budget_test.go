package consumer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func TestBudgetGivesWhatIsFree(t *testing.T) {
	b := NewBudget(100)
	first, err := b.acquire(t.Context(), 10, 70, nil)
	if err != nil || first != 70 {
		t.Fatalf("got %d, %v, want 70", first, err)
	}
	second, err := b.acquire(t.Context(), 10, 70, nil)
	if err != nil || second != 30 {
		t.Fatalf("got %d, %v, want the 30 that are left", second, err)
	}
	if n := b.tryAcquire(1, 1); n != 0 {
		t.Errorf("got %d of a budget that is used up", n)
	}
}

func TestBudgetServesInOrderSoThatALargeWaiterIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		b.add(100)
		var order []string
		var mu sync.Mutex
		wait := func(name string, n int64) {
			go func() {
				if _, err := b.acquire(t.Context(), n, n, nil); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		wait("large", 80)
		wait("small", 5)
		b.add(-20) // enough for the small one only
		synctest.Wait()
		if len(order) != 0 {
			t.Fatalf("%v overtook", order)
		}
		b.add(-60)
		synctest.Wait()
		b.add(-80)
		synctest.Wait()
		if len(order) != 2 || order[0] != "large" {
			t.Errorf("served %v", order)
		}
	})
}

func TestBudgetForgetsAWaiterThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(10)
		b.add(10)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		got := make(chan error, 1)
		go func() {
			_, err := b.acquire(ctx, 10, 10, nil)
			got <- err
		}()
		synctest.Wait()
		cancel(why)
		if err := <-got; !errors.Is(err, why) {
			t.Errorf("got %v, want the cause", err)
		}
		b.add(-10)
		if b.Used() != 0 {
			t.Errorf("%d are used, want 0", b.Used())
		}
		if n := b.tryAcquire(10, 10); n != 10 {
			t.Errorf("got %d, want all of it: nobody waits", n)
		}
	})
}

// Whatever is acquired and given back, in whatever order, the bound holds and nothing is lost.
func TestBudgetHoldsItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBudget(rapid.Int64Range(1, 50).Draw(t, "limit"))
		var held []int64
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				least := rapid.Int64Range(1, 20).Draw(t, "least")
				if n := b.tryAcquire(least, least+rapid.Int64Range(0, 20).Draw(t, "more")); n > 0 {
					held = append(held, n)
				}
			},
			"give back": func(t *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "i")
				b.add(-held[i])
				held = append(held[:i], held[i+1:]...)
			},
			"": func(t *rapid.T) {
				sum := int64(0)
				for _, n := range held {
					sum += n
				}
				if b.Used() != sum || sum > b.limit {
					t.Fatalf("%d are used and %d held, of %d", b.Used(), sum, b.limit)
				}
			},
		})
	})
}

func TestBudgetALargerRequestThanTheBudgetTravelsAlone(t *testing.T) {
	b := NewBudget(10)
	n, err := b.acquire(t.Context(), 1000, 1000, nil)
	if err != nil || n != 10 {
		t.Fatalf("got %d, %v", n, err)
	}
}
