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
