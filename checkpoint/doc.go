// Package checkpoint says how far a shard has been processed.
//
// A [Position] is a place in one shard. A [Start] is where reading begins, which may be no place at all: the oldest
// record held, the newest, an instant. An [Ahead] says what is done behind a position already. A [Strategy] decides how often a position is written.
//
// Positions are compared as numbers of any length. Kinesis sequence numbers have 56 digits and those of DynamoDB Streams 21 to 40,
// so neither an integer type, a float nor a database's number or collation may touch them. [Position.Sort] gives
// the one form that sorts correctly as bytes; [Position.String] keeps what the service sent, zeros included, because a
// service refuses a sequence number whose leading zeros are gone.
//
// The package imports nothing else of this module and is useful alone.
package checkpoint
