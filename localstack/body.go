package localstack

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// wholeBody hands the request's body over as bytes in memory.
//
// smithy-go's own body answers EOF once it is closed, also while net/http still writes it; the request is then cut
// short and its connection closed under the answer. On loopback, where answers overtake the end of the request, a few
// calls in a hundred fail so with "use of closed network connection".
type wholeBody struct{ next http.RoundTripper }

func (w wholeBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return w.next.RoundTrip(r)
	}
	b, err := io.ReadAll(r.Body)
	if e := r.Body.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	whole := *r // a RoundTripper may not change the request it was given
	whole.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	whole.Body, _ = whole.GetBody()
	return w.next.RoundTrip(&whole)
}
