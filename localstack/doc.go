// Package localstack gives tests, examples and demos the services to run against: endpoints and ready clients of
// Kinesis, DynamoDB and DynamoDB Streams.
//
// [Start] takes the first of these that can be had, or the one that RUNNEL_STACK or [Options].Kind names:
//
//  1. [Environment]: the endpoints in AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_KINESIS, _DYNAMODB and _DYNAMODB_STREAMS.
//     Any LocalStack will do. AWS itself is used only with RUNNEL_AWS=1: it costs money and holds data.
//  2. [Docker]: LocalStack in a container, where a container engine answers. This path is written but untried
//     where no engine runs; compose.yaml starts the same image by hand.
//  3. [Native]: LocalStack as a process of this machine.
//  4. [Engines]: what LocalStack drives, without it: kinesis-mock under node, DynamoDB Local under java.
//
// [StartDynamoDB] and [StartPostgres] start one server of one's own, which a test may break.
//
// A part that is missing is an error that names the command which installs it (make engines), and matches
// [ErrMissing]. Nothing listens outside loopback, ports are chosen at random, and Close ends exactly what was
// started and removes its files. The parts of a process that dies without Close die with it.
//
// [StartDynamoDB] and [StartRedis] start a server of a test's own. RUNNEL_REDIS, a URL, names one that is used instead.
//
// A program of another module needs the parts too: run "make engines" in a clone of runnel, and set RUNNEL_CACHE to the
// .cache of that clone.
//
// Where the parts differ from AWS: sequence numbers of DynamoDB Local have 21 digits; filters of shard listings are
// ignored; AT_TIMESTAMP is unknown to DynamoDB Local, and times are cut to the minute; it reports items removed by their time to
// live as UNKNOWN_TO_SDK_VERSION, without AWS's mark; nothing throttles; kinesis-mock's iterators expire after 300 s. Faults
// that they cannot show are injected with [Clients.Through].
//
//	s, err := localstack.Start(ctx, localstack.Options{})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	client := s.Kinesis()
package localstack
