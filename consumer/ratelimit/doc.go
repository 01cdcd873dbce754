// Package ratelimit holds a consumer's handler to a rate, with the token bucket of golang.org/x/time/rate.
//
// [Records] counts records, so that a batch of 100 costs as much as 100 single records; [Calls] counts calls of the handler, for a service that bills or limits requests. One rate.Limiter may serve
// several consumers of a process, which then share its rate. It knows nothing of other processes: with n workers give each the n-th part.
//
//	consumer.Flow{Limiter: ratelimit.Records(rate.NewLimiter(500, 50))} // 500 records a second, after a pause at most 50 at once
//
// What waits for the limiter is not being handled: it costs no attempt. The limiter's SetLimit and SetBurst may be called at any time; what waits already keeps the instant it was given.
// A limit of 0 lets out what the bucket still holds and then refuses, without waiting: the consumer asks again later, and finds a limit that was raised meanwhile.
package ratelimit
