// Package integration holds the tests of everything together: consumers on real endpoints of Kinesis and DynamoDB Streams, with leases in a real
// table, in one process or in several that are killed. It has no API.
//
// Its tests carry the build tag engines: make test-localstack and make test-engines run them. Each test has a stream, a lease table and an
// application of its own; those that roll shards or move time have a DynamoDB of their own.
package integration
