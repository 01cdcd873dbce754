package filesource

import "errors"

// What is wrong with a directory. A shard waits at the first three, as at any error of a source, until somebody mends it: no line is skipped.
var (
	// ErrRewritten: the file was cut, or replaced by another one. Positions in it mean nothing any longer. Put the file back as it was, or make a
	// stream of its own for the new content.
	ErrRewritten = errors.New("filesource: the file is not the one that was read")
	// ErrAfterEnd: lines were added after the shard was closed.
	ErrAfterEnd = errors.New("filesource: the file has more than when its shard was closed")
	// ErrTooLong: a line is longer than Config.MaxLine.
	ErrTooLong = errors.New("filesource: a line is too long")
	// ErrClosed: a [Writer] was to add to a shard that is closed.
	ErrClosed = errors.New("filesource: the shard is closed")
	// ErrLine: a [Writer] was given what would not be read as it is: an empty line, one with a newline, or one that ends in a carriage return.
	ErrLine = errors.New("filesource: not a line")
)
