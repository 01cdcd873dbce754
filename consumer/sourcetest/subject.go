package sourcetest

// subject is a stream under test.
type subject struct {
	*Stream
}
