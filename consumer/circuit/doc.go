// Package circuit stops a consumer while what its handler depends on is gone, with the circuit breaker of github.com/failsafe-go/failsafe-go.
//
//	breaker := circuitbreaker.NewBuilder[any]().
//		HandleErrors(ErrIndexGone). // a record that cannot be parsed says nothing about the index
//		WithFailureThreshold(5).
//		WithDelay(30 * time.Second).
//		Build()
//	consumer.Flow{Breaker: circuit.New(breaker)}
//
// Which errors count is said to the breaker, by HandleErrors, HandleErrorTypes or HandleIf; without them every error does. One breaker may serve several consumers, and the calls that others make through
// failsafe-go.
//
// # Calls that tell nothing
//
// A call that was given up because the consumer stops, or lost the shard, says nothing about the dependency, whatever the breaker was told to count: its error is [context.Canceled], [consumer.ErrDrain] or
// [lease.ErrLost]. A closed breaker does not count it. A half-open one takes a permit back only together with a result, and gets a failure: it may be open once more for its delay, but it neither stays
// half-open without permits nor closes unproved. A handler that limits its own time should do so by a deadline, whose error counts, not by cancelling.
package circuit
