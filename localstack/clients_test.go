package localstack

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if orphan() {
		return
	}
	goleak.VerifyTestMain(m)
}

// service answers every call with an empty document, and without reading the request.
func service(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func local(t *testing.T, at endpoints) Clients {
	t.Helper()
	c := localClients(at)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// net/http may still write the body while the SDK, which has the answer, closes it.
func TestBodyOutlivesTheCall(t *testing.T) {
	var sent *http.Request
	c := local(t, endpoints{Kinesis: service(t)}).Through(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r
			other := r.Clone(r.Context())
			other.Body = http.NoBody
			other.ContentLength = 0
			return next.RoundTrip(other)
		})
	})
	name := "stream"
	_, err := c.Kinesis().PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: &name, PartitionKey: &name, Data: []byte("data"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(sent.Body); err != nil || int64(len(b)) != sent.ContentLength || len(b) == 0 {
		t.Errorf("of %d bytes %q are left, %v", sent.ContentLength, b, err)
	}
}

type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func TestWholeBodyLeavesTheRequestAsItIs(t *testing.T) {
	body := &closing{Reader: strings.NewReader("body")}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost", body)
	before := req.Body
	var sent []byte
	resp, err := wholeBody{roundTripper(func(r *http.Request) (*http.Response, error) {
		first, _ := io.ReadAll(r.Body)
		again, _ := r.GetBody()
		second, _ := io.ReadAll(again)
		sent = append(first, second...)
		return &http.Response{Body: http.NoBody}, nil
	})}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || !bytes.Equal(sent, []byte("bodybody")) || req.Body != before || body.closed != 1 {
		t.Errorf("sent %q, %v, changed %t, closed %d times", sent, err, req.Body != before, body.closed)
	}
}

func TestThroughWrapsWhatWasWrapped(t *testing.T) {
	var order []string
	note := func(name string) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				order = append(order, name)
				return next.RoundTrip(r)
			})
		}
	}
	plain := local(t, endpoints{DynamoDB: service(t)})
	both := plain.Through(note("inner")).Through(note("outer"))
	if _, err := both.DynamoDB().ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.DynamoDB().ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "outer inner" {
		t.Errorf("requests passed %q", got)
	}
}

func TestServiceThatIsNotThereSaysHowToHaveIt(t *testing.T) {
	c := local(t, endpoints{DynamoDB: service(t)})
	_, err := c.Kinesis(func(o *kinesis.Options) { o.RetryMaxAttempts = 1 }).ListStreams(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL_KINESIS") {
		t.Errorf("got %v", err)
	}
}
