package snippets_test

import (
	"context"
	"crypto/rand"
	"errors"
	"expvar"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/lease/memlease"
)

// What the documents say of bad records, health and metrics, in one life of a consumer: a record that does not decode becomes a letter at once, one that fails makes its
// shard wait and is to be seen from outside, and the process is alive all the while.
func TestTroubleIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := "orders-index-" + rand.Text() // what is published stays
		source := memsource.New("orders", nil)
		for _, data := range []string{`{"id":"1"}`, `no JSON`, `{"id":"3"}`, `{"id":"fails"}`} {
			if _, _, err := source.Put("ada", []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		var seen, kept []string
		letters := memletters.New()
		decoded := consumer.JSON(func(_ context.Context, o Order, _ consumer.Record) error {
			if o.ID == "fails" {
				return errors.New("down")
			}
			seen = append(seen, o.ID)
			return nil
		})
		c, err := consumer.New(metrics(consumer.Config{
			Name: name, Source: source, Leases: memlease.New(),
			Handler: givingUp(decoded),
			Failure: consumer.Failure{Then: consumer.DeadLetter, Letters: letters},
		}))
		if err != nil {
			t.Fatal(err)
		}
		gauges(c)
		mux := http.NewServeMux()
		liveness(mux, c)
		live := func() int {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/live", nil))
			return w.Code
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		<-time.After(time.Minute)
		if got := live(); got != http.StatusOK {
			t.Errorf("a consumer with a failing record answers %d", got)
		}
		shards := expvar.Get(name + " shards").String()
		for _, want := range []string{`"in flight":`, `"behind seconds":`, `"stored":"`, `"failing records":1`, `"parked keys":0`} {
			if !strings.Contains(shards, want) {
				t.Errorf("the gauges lack %s: %s", want, shards)
			}
		}
		if strings.Contains(shards, `"failing seconds":0,`) {
			t.Errorf("the gauges do not show the failure: %s", shards)
		}
		if got := expvar.Get(name).String(); !strings.Contains(got, `"records": 2`) || !strings.Contains(got, `"given up: permanent": 1`) || !strings.Contains(got, `"positions stored": `) {
			t.Errorf("the counters are %s", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := live(); got != http.StatusServiceUnavailable {
			t.Errorf("a consumer that was stopped answers %d", got)
		}
		for l, err := range letters.Read(t.Context(), deadletter.Query{Scope: deadletter.Scope{App: name, Stream: c.Status().Stream.Incarnation}}) {
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, string(l.Payload))
		}
		if want := []string{"1", "3"}; !slices.Equal(seen, want) || !slices.Equal(kept, []string{"no JSON"}) {
			t.Errorf("handled %q, letters of %q", seen, kept)
		}
	})
}
