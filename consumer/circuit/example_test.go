package circuit_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/runnelhq/runnel/consumer/circuit"
)

// Records that cannot be handled do not open the breaker; an index that is gone does, until a probe finds it again.
func ExampleNew() {
	errIndexGone := errors.New("the index is gone")
	index := circuitbreaker.NewBuilder[any]().
		HandleErrors(errIndexGone).
		WithFailureThreshold(2).
		WithDelay(time.Minute).
		Build()
	breaker := circuit.New(index)

	for _, err := range []error{errors.New("no such field"), errors.New("no such field"), errIndexGone, errIndexGone} {
		breaker.Permit()
		breaker.Record(err)
		fmt.Printf("%v, open: %v\n", err, breaker.Open())
	}

	fmt.Println("a call:", breaker.Permit() == 0)
	index.HalfOpen() // by hand, or when the minute is over
	fmt.Println("a probe:", breaker.Permit() == 0)
	breaker.Record(nil)
	fmt.Println("open:", breaker.Open())
	// Output:
	// no such field, open: false
	// no such field, open: false
	// the index is gone, open: false
	// the index is gone, open: true
	// a call: false
	// a probe: true
	// open: false
}
