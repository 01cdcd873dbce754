package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The program goes as its documents say, in this order.
func TestOrders(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	if err := run(ctx, &out, 10*time.Millisecond); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	said := out.String()
	for _, want := range []string{
		"bert   order 3: attempt 1 failed", "order 3: attempt 3 failed too, it becomes a letter, and bert is parked", "bert   order 4 follows to the letters",
		"version 2 opens", "bert   order 5 follows to the letters", "bert   order 3, 12 × eggs: shipped by the redrive", "bert   order 5, 5 × rice: shipped by the redrive",
		"redriven: 3 letters done, 0 failed again", "bert   order 6, 6 × oil: shipped\n",
		"checked: 21 orders were shipped, each once, and each customer's in order", "checked: 3 letters were redriven, no letter is left, and nobody is parked",
	} {
		_, rest, found := strings.Cut(said, want)
		if !found {
			t.Fatalf("it does not say %q there:\n%s", want, out.String())
		}
		said = rest
	}
}

// What is not as told is an error, and so exit code 1.
func TestCheckRefuses(t *testing.T) {
	for name, spoil := range map[string]func(b *board) (left, parked int){
		"nothing":                 nil,
		"an order that is lost":   func(b *board) (int, int) { b.shipped = b.shipped[:len(b.shipped)-1]; return 0, 0 },
		"an order shipped twice":  func(b *board) (int, int) { b.shipped = append(b.shipped, b.shipped[1]); return 0, 0 },
		"an order that came late": func(b *board) (int, int) { slices.Reverse(b.shipped); return 0, 0 },
		"a letter of another":     func(b *board) (int, int) { b.letters[1].Customer = "anna"; return 0, 0 },
		"a gap in the letters":    func(b *board) (int, int) { b.letters[1].Number = 5; return 0, 0 },
		"no letters":              func(b *board) (int, int) { b.letters = nil; return 0, 0 },
		"one attempt":             func(b *board) (int, int) { b.failures = 1; return 0, 0 },
		"others that waited":      func(b *board) (int, int) { b.meanwhile = 0; return 0, 0 },
		"a customer who waits":    func(b *board) (int, int) { b.afterwards = 0; return 0, 0 },
		"letters that are left":   func(*board) (int, int) { return 1, 0 },
		"a parked customer":       func(*board) (int, int) { return 0, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			b, left, parked := day(t), 0, 0
			if spoil != nil {
				left, parked = spoil(b)
			}
			if err := b.check(left, parked); (err == nil) != (spoil == nil) {
				t.Errorf("got the error %v", err)
			}
		})
	}
}

// day is the board of a day that went as told.
func day(t *testing.T) *board {
	t.Helper()
	b := newBoard(io.Discard)
	for n := 1; n <= 5; n++ {
		for _, customer := range customers {
			o := order{Customer: customer, Number: n}
			if customer == poison.Customer && n == poison.Number {
				o = poison
			}
			if err := b.places(o, func() (string, error) { return customer + string(rune('0'+n)), nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := 1; n <= 2; n++ {
		b.ships(order{Customer: "bert", Number: n}, 1, false)
	}
	for _, customer := range []string{"anna", "carla"} {
		for n := 1; n <= 5; n++ {
			if customer == "carla" && n == 1 {
				b.letters = []order{poison, {Customer: "bert", Number: 4}}
			}
			b.ships(order{Customer: customer, Number: n}, 1, false)
		}
	}
	b.failures = 3
	b.redriveBegins()
	b.ships(poison, 12, true)
	b.ships(order{Customer: "bert", Number: 4}, 1, true)
	b.ships(order{Customer: "bert", Number: 5}, 1, false)
	return b
}
