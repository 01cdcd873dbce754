package localstack

import (
	"io"
	"sync"
)

// tail keeps the end of what a part prints, and passes all of it on.
type tail struct {
	mu   sync.Mutex
	last []byte // at most twice tailBytes
	next io.Writer
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, b...)
	if len(t.last) > 2*tailBytes {
		t.last = append(t.last[:0], t.last[len(t.last)-tailBytes:]...)
	}
	t.mu.Unlock()
	return t.next.Write(b)
}

// String is the end of an error's text: empty where nothing was printed.
func (t *tail) String() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == 0 {
		return "; it printed nothing"
	}
	return "; it printed last:\n" + string(t.last[max(0, len(t.last)-tailBytes):])
}
