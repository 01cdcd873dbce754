package deadletter

// maxChain bounds a chain, since an error may wrap itself.
const maxChain = 64

// Chain is what a [Letter] and a [Failure] keep of an error: the texts of err and of what it wraps, from the outermost to the root, 64 at most, without those that only repeat the one before. Those of an error that wraps
// several come one after the other. It is nil for nil.
func Chain(err error) (texts []string) {
	seen := 0
	add := func(error) {}
	add = func(err error) {
		if err == nil || seen == maxChain {
			return
		}
		seen++
		if text := err.Error(); len(texts) == 0 || text != texts[len(texts)-1] {
			texts = append(texts, text)
		}
		switch e := err.(type) { //nolint:errorlint // the chain itself is walked
		case interface{ Unwrap() error }:
			add(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				add(inner)
			}
		}
	}
	add(err)
	return texts
}
