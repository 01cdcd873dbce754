package lease

// wake ends another goroutine's wait early. Pokes that nobody waited for are one.
type wake chan struct{}

func newWake() wake { return make(wake, 1) }

func (w wake) poke() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// closed tells whether a channel is, on which nothing is sent.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
