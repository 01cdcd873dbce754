package ddblease

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

const table = "leases"

// request is one sending, retries by the client included.
type request struct {
	op   string
	body string
	in   map[string]any
}

// reply is what the service sends: a body of JSON, an error of its own, or nothing at all.
type reply struct {
	body string // the answer; "" is {}
	code string // the name of an error of the service
	lost error  // the connection ended before the answer
}

// service is the other end of a client: answer is asked for each request in the order in which they come, and may block.
type service struct {
	answer func(r request) reply

	mu       sync.Mutex
	requests []request
}

// Do stands in for the HTTP client.
func (s *service) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	req := request{op: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810."), body: string(body)}
	if err := json.Unmarshal(body, &req.in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.mu.Unlock()
	rep := s.answer(req)
	if rep.lost != nil {
		return nil, rep.lost
	}
	status, text := http.StatusOK, rep.body
	if text == "" {
		text = "{}"
	}
	if rep.code != "" {
		status = http.StatusBadRequest
		extra := strings.TrimPrefix(rep.body, "{")
		if extra == "" {
			extra = `"message":"no reason given"}`
		}
		text = fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s",%s`, rep.code, extra)
	}
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(strings.NewReader(text)),
		Request:    r,
	}, nil
}

// ops are the operations that were sent.
func (s *service) ops() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ops := make([]string, len(s.requests))
	for i, r := range s.requests {
		ops[i] = r.op
	}
	return ops
}

// last is the request that was sent last.
func (s *service) last() request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// in answers requests one after the other. A further request is answered as the last.
func in(replies ...reply) func(request) reply {
	var mu sync.Mutex
	n := 0
	return func(request) reply {
		mu.Lock()
		defer mu.Unlock()
		n++
		return replies[min(n, len(replies))-1]
	}
}

// storeOn is a store whose client talks to answer.
func storeOn(answer func(request) reply, cfg *Config) (*Store, *service) {
	s := &service{answer: answer}
	return New(client(s), table, cfg), s
}

func client(at *service) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "eu-west-1",
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String("http://dynamodb.test"),
		HTTPClient:   at,
	})
}

// itemText is an item as the service sends it.
func itemText(key string, version int, cursor, value string) string {
	i := strings.LastIndexByte(key, '/') + 1
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"g":{"S":%q},"k":{"S":%q},"v":{"N":"%d"},"c":{"S":%q},"b":{"S":%s}}`, key[:i], key[i:], version, cursor, b)
}

// found is the answer of a BatchGetItem.
func found(items ...string) string {
	return fmt.Sprintf(`{"Responses":{%q:[%s]}}`, table, strings.Join(items, ","))
}

// sameJSON compares two texts of JSON.
func sameJSON(t *testing.T, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v in %s", what, err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v in %s", what, err, want)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %v\nwant %v", what, g, w)
	}
}
