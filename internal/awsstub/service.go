// Package awsstub answers the AWS SDK's requests inside the process, for tests: without a network, so that they can run in virtual time.
package awsstub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Call is one request.
type Call struct {
	Op string // "GetRecords"
	In map[string]any
	At time.Time
}

// Text is a string of the input, "" if it is not there.
func (c Call) Text(field string) string {
	s, _ := c.In[field].(string)
	return s
}

// Number is a number of the input, 0 if it is not there.
func (c Call) Number(field string) float64 {
	n, _ := c.In[field].(float64)
	return n
}

// Answer is what the service says. Make one with OK or Fail.
type Answer struct {
	Status  int
	Body    string
	Undated bool  // without the header Date
	Cut     bool  // the connection breaks in the middle of the body
	Hang    bool  // there is no answer until the caller has enough
	Err     error // there is no answer
}

// OK is a success.
func OK(out any) Answer {
	b, err := json.Marshal(out)
	if err != nil {
		return Answer{Err: fmt.Errorf("awsstub: %w", err)}
	}
	return Answer{Status: http.StatusOK, Body: string(b)}
}

// Fail is an error of the service.
func Fail(status int, code string) Answer {
	return Answer{Status: status, Body: fmt.Sprintf(`{"__type":%q,"message":"said by the stub"}`, code)}
}

// Service is an [http.RoundTripper] that answers by a function.
type Service struct {
	// Answer is called for each request, from the goroutine that made it.
	Answer func(Call) Answer

	mu    sync.Mutex
	calls []Call
}

// Config is for clients of the service.
func (s *Service) Config() aws.Config {
	return aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  &http.Client{Transport: s},
	}
}

// Calls are the requests of the operations so far; of all, if none is named.
func (s *Service) Calls(ops ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, c := range s.calls {
		named := len(ops) == 0
		for _, op := range ops {
			named = named || c.Op == op
		}
		if named {
			calls = append(calls, c)
		}
	}
	return calls
}

// RoundTrip answers a request.
func (s *Service) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("awsstub: read the request: %w", err)
	}
	if err := r.Body.Close(); err != nil {
		return nil, fmt.Errorf("awsstub: close the request: %w", err)
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	call := Call{Op: op, At: time.Now()}
	if err := json.Unmarshal(b, &call.In); err != nil {
		return nil, fmt.Errorf("awsstub: %s: %w", op, err)
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	a := s.Answer(call)
	if a.Hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if a.Err != nil {
		return nil, a.Err
	}
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}}
	if !a.Undated {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	var body io.Reader = strings.NewReader(a.Body)
	if a.Cut {
		body = io.MultiReader(strings.NewReader(a.Body[:len(a.Body)/2]), broken{})
	}
	return &http.Response{
		Status: http.StatusText(a.Status), StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(body), ContentLength: int64(len(a.Body)), Request: r,
	}, nil
}

// broken is the end of a connection that was lost.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
