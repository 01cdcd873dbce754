package stacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/internal/iampolicy"
	"github.com/runnelhq/runnel/localstack"
)

// Gate is an endpoint before the services of a stack that refuses what no policy allows, as AWS does.
type Gate struct {
	URL string // of all services

	policies []iampolicy.Policy
	at       map[string]string // the endpoint of each service
	env      []string
	client   *http.Client

	mu     sync.Mutex
	used   map[string]bool // grants, as grant names them
	denied []string
}

// NewGate opens a gate for the policies that the documentation has under these headings, and for everything if there are none. Names replaces the names of
// streams and tables in them by those of the test.
func NewGate(t *testing.T, s *localstack.Stack, names map[string]string, headings ...string) *Gate {
	t.Helper()
	documented, err := iampolicy.Documented()
	if err != nil {
		t.Fatal(err)
	}
	vars := variables(s)
	transport := &http.Transport{}
	g := &Gate{used: map[string]bool{}, client: &http.Client{Transport: transport}, at: map[string]string{
		"Kinesis": vars["AWS_ENDPOINT_URL_KINESIS"], "DynamoDB": vars["AWS_ENDPOINT_URL_DYNAMODB"], "DynamoDBStreams": vars["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"],
	}}
	for _, h := range headings {
		p, ok := documented[h]
		if !ok {
			t.Fatalf("%s has no policy under %q: it has them under %q", iampolicy.Document, h, slices.Sorted(maps.Keys(documented)))
		}
		g.policies = append(g.policies, renamed(p, names))
	}
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	g.URL = server.URL
	vars["AWS_ENDPOINT_URL"] = g.URL
	for _, service := range []string{"KINESIS", "DYNAMODB", "DYNAMODB_STREAMS"} {
		vars["AWS_ENDPOINT_URL_"+service] = ""
	}
	for name, value := range vars {
		g.env = append(g.env, name+"="+value)
	}
	return g
}

func renamed(p iampolicy.Policy, names map[string]string) iampolicy.Policy {
	for i := range p.Statement {
		for j, r := range p.Statement[i].Resource {
			head, name, _ := strings.Cut(r, "/")
			name, tail, _ := strings.Cut(name, "/")
			if is, ok := names[name]; ok {
				name = is
			}
			if tail != "" {
				tail = "/" + tail
			}
			p.Statement[i].Resource[j] = head + "/" + name + tail
		}
	}
	return p
}

// Env is the environment in which a program finds the services behind the gate.
func (g *Gate) Env() []string { return g.env }

// refused are the requests that were refused.
func (g *Gate) refused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.denied)
}

// unused are the grants of the policies that no request needed so far.
func (g *Gate) unused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var unused []string
	for _, p := range g.policies {
		for _, s := range p.Statement {
			for _, a := range s.Action {
				for _, r := range s.Resource {
					if !g.used[grant(a, r)] {
						unused = append(unused, grant(a, r))
					}
				}
			}
		}
	}
	return unused
}

// Await waits until all that is allowed was needed but these grants.
func (g *Gate) Await(t *testing.T, but ...string) {
	t.Helper()
	Eventually(t, func() string { return "not needed: " + strings.Join(g.unused(), ", ") },
		func() bool { return slices.Equal(g.unused(), but) })
}

// Expect checks that all that is allowed was needed but these grants, and that nothing was denied.
func (g *Gate) Expect(t *testing.T, but ...string) {
	t.Helper()
	if unused := g.unused(); !slices.Equal(unused, but) {
		t.Errorf("the policies allow what the program does not need: %q; want only %q", unused, but)
	}
	if denied := g.refused(); len(denied) > 0 {
		t.Errorf("the policies do not allow what the program needs: %q", denied)
	}
}

func grant(action, resource string) string { return action + " on " + resource }

// allow notes what a request needs and tells whether it is granted.
func (g *Gate) allow(action, resource string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	allowed := len(g.policies) == 0
	for _, p := range g.policies {
		for _, s := range p.Statement {
			for _, r := range s.Resource {
				one := iampolicy.Statement{Action: s.Action, Resource: []string{r}}
				if one.Allows(action, resource) {
					g.used[grant(action, r)] = true
					allowed = true
				}
			}
		}
	}
	if !allowed {
		g.denied = append(g.denied, grant(action, resource))
	}
	return allowed
}

// ServeHTTP forwards a request that is allowed.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	service, _, _ := strings.Cut(target, "_")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	prefix := "dynamodb:"
	if service == "Kinesis" {
		prefix = "kinesis:"
	}
	for _, resource := range resources(service, body) {
		if g.allow(prefix+op, resource) {
			continue
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"AccessDeniedException","message":"not authorized to perform: %s%s on resource: %s"}`, prefix, op, resource)
		return
	}
	g.forward(w, r, g.at[service], body)
}

func (g *Gate) forward(w http.ResponseWriter, r *http.Request, to string, body []byte) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header = r.Header.Clone()
	resp, err := g.client.Do(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // a client that is gone is not the gate's trouble
}

var regionAndAccount = regexp.MustCompile(`^(arn:aws:[a-z]+):[^:]*:[^:]*:`)

// resources are what a request is about, as the documentation writes it; "" if the request names it by a token alone.
func resources(service string, body []byte) []string {
	var in struct {
		StreamName, StreamARN, StreamArn, TableName, IndexName string
		RequestItems                                           map[string]json.RawMessage
	}
	_ = json.Unmarshal(body, &in) // what cannot be read names no resource, and the service refuses it
	arn := func(s string) string { return regionAndAccount.ReplaceAllString(s, "$1:REGION:ACCOUNT:") }
	table := func(name string) string {
		if strings.HasPrefix(name, "arn:") {
			return arn(name)
		}
		return "arn:aws:dynamodb:REGION:ACCOUNT:table/" + name
	}
	switch {
	case service == "Kinesis" && in.StreamName != "":
		return []string{"arn:aws:kinesis:REGION:ACCOUNT:stream/" + in.StreamName}
	case in.StreamARN != "" || in.StreamArn != "":
		return []string{arn(in.StreamARN + in.StreamArn)}
	case in.TableName != "" && in.IndexName != "":
		return []string{table(in.TableName) + "/index/" + in.IndexName}
	case in.TableName != "":
		return []string{table(in.TableName)}
	case len(in.RequestItems) > 0:
		var all []string
		for name := range in.RequestItems {
			all = append(all, table(name))
		}
		return all
	}
	return []string{""}
}
