//go:build engines

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/localstack"
)

// response is an answer of a service.
type response = http.Response

// request is one sending of a call to a service, on its way to the endpoint.
type request struct {
	Service, Op string // "Kinesis", "DynamoDB" or "DynamoDBStreams", and "GetRecords"
	Body        []byte

	raw  *http.Request
	next http.RoundTripper
}

// send hands the request on.
func (r *request) send() (*response, error) { return r.next.RoundTrip(r.raw) } //nolint:bodyclose // whoever sends it closes it

// attempt is which sending of a call this is, from 1, and how many its client makes at most.
func (r *request) attempt() (n, most int) {
	for field := range strings.SplitSeq(r.raw.Header.Get("Amz-Sdk-Request"), "; ") {
		name, value, _ := strings.Cut(field, "=")
		number, _ := strconv.Atoi(value) // 0 for the fields that are none
		switch name {
		case "attempt":
			n = number
		case "max":
			most = number
		}
	}
	return n, most
}

// id is the same for all sendings of a call.
func (r *request) id() string { return r.raw.Header.Get("Amz-Sdk-Invocation-Id") }

// fault is asked about each sending: it sends the request on, or not, and gives the answer, or another.
type fault func(r *request) (*response, error)

// through is clients whose requests pass f.
func through(c localstack.Clients, f fault) localstack.Clients {
	return c.Through(func(next http.RoundTripper) http.RoundTripper { return faulty{f, next} })
}

type faulty struct {
	fault fault
	next  http.RoundTripper
}

func (f faulty) RoundTrip(raw *http.Request) (*response, error) {
	body, err := io.ReadAll(raw.Body)
	if err != nil {
		return nil, err
	}
	again := *raw
	again.Body = io.NopCloser(bytes.NewReader(body))
	target, op, _ := strings.Cut(raw.Header.Get("X-Amz-Target"), ".")
	service, _, _ := strings.Cut(target, "_")
	return f.fault(&request{service, op, body, &again, f.next})
}

// refuse answers as the service does when it refuses a call.
func (r *request) refuse(code, message string) (*response, error) {
	return r.answer(http.StatusBadRequest, fmt.Sprintf(`{"__type":"com.amazonaws#%s","message":%q}`, code, message))
}

func (r *request) throttle() (*response, error) {
	code := "ThrottlingException"
	if r.Op == "GetRecords" || r.Service == "DynamoDB" {
		code = "ProvisionedThroughputExceededException"
	}
	return r.refuse(code, "slow down")
}

func (r *request) answer(status int, body string) (*response, error) {
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {r.raw.Header.Get("Content-Type")}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r.raw,
	}, nil
}

// page is what the tests need of an answer to GetRecords, of either service.
type page struct {
	Records           []json.RawMessage
	NextShardIterator string
}

func readPage(body []byte) page {
	var p page
	_ = json.Unmarshal(body, &p) // an error's text is a page without anything
	return p
}

// hasCode tells whether an error's text is of that code.
func hasCode(body []byte, code string) bool {
	var e struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(body, &e) // what is no JSON has no code
	return strings.HasSuffix(e.Type, code)
}

// rewritten sends the request on and changes the text of the answer.
func (r *request) rewritten(change func(status int, body []byte) []byte) (*response, error) {
	resp, err := r.send()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	body = change(resp.StatusCode, body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	resp.Header.Del("X-Amz-Crc32") // it is of the old text
	return resp, nil
}

var (
	errLost    = errors.New("injected: the answer was lost")
	errRefused = errors.New("injected: connection refused")
)

// lose sends the request on and loses the answer.
func (r *request) lose() (*response, error) {
	if _, err := r.rewritten(func(_ int, body []byte) []byte { return body }); err != nil {
		return nil, err
	}
	return nil, errLost
}

// writes tells whether a call changes an item.
func (r *request) writes() bool {
	return r.Service == "DynamoDB" && (r.Op == "PutItem" || r.Op == "DeleteItem" || r.Op == "UpdateItem")
}

// leases tells whether a call is about leases: in these tests those are all calls of DynamoDB but DescribeTable, which sources make as well.
func (r *request) leases() bool { return r.Service == "DynamoDB" && r.Op != "DescribeTable" }

// late sends requests long after their senders gave up.
type late struct {
	mu   sync.Mutex
	sent []chan struct{} // closed when the request of that place was answered
}

func newLate(t *testing.T) *late {
	l := &late{}
	t.Cleanup(l.wait)
	return l
}

// wait waits for the requests held so far.
func (l *late) wait() {
	l.mu.Lock()
	sent := slices.Clone(l.sent)
	l.mu.Unlock()
	for _, done := range sent {
		<-done
	}
}

// send fails at once, and sends the request on after a while.
func (l *late) send(r *request, wait time.Duration) (*response, error) {
	clone := r.raw.Clone(context.WithoutCancel(r.raw.Context()))
	done := make(chan struct{})
	l.mu.Lock()
	l.sent = append(l.sent, done)
	l.mu.Unlock()
	go func() {
		defer close(done)
		if after(clone.Context(), wait) != nil {
			return
		}
		if resp, err := r.next.RoundTrip(clone); err == nil { // else the endpoint is gone
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	return nil, errLost
}

// chance is a random choice that is the same in each run, as far as the order of calls is.
type chance struct {
	mu     sync.Mutex
	random *rand.Rand
	calls  map[string]bool
}

func newChance(seed uint64) *chance {
	return &chance{random: rand.New(rand.NewPCG(seed, seed)), calls: make(map[string]bool)}
}

// ofCall is true with probability p, and the same for all sendings of a call.
func (c *chance) ofCall(r *request, p float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	hit, known := c.calls[r.id()]
	if !known {
		hit = c.random.Float64() < p
		c.calls[r.id()] = hit
	}
	return hit
}

// of is true with probability p.
func (c *chance) of(p float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < p
}

// gate is a way to an endpoint that can be shut.
type gate struct {
	shut    atomic.Bool
	refused atomic.Int64
	only    func(r *request) bool // what the gate is for; nil: everything
}

func (g *gate) fault(r *request) (*response, error) {
	if g.shut.Load() && (g.only == nil || g.only(r)) {
		g.refused.Add(1)
		return nil, errRefused
	}
	return r.send()
}

// countRequests is clients that count the connections that they make, and the calls of GetRecords.
func countRequests(c localstack.Clients) (_ localstack.Clients, made, reads *atomic.Int64) {
	made, reads = new(atomic.Int64), new(atomic.Int64)
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			made.Add(1)
		}
	}}
	return through(c, func(r *request) (*response, error) {
		if r.Op == "GetRecords" {
			reads.Add(1)
		}
		r.raw = r.raw.WithContext(httptrace.WithClientTrace(r.raw.Context(), trace))
		return r.send()
	}), made, reads
}
