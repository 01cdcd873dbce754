package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/goleak"
)

// asProgram makes the test's executable the program itself, and so its workers too.
const asProgram = "OUTBOX_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(serving{m})
}

// serving closes what tests share, before anybody looks for what they left.
type serving struct{ *testing.M }

// atEnd closes it.
var atEnd []func() error

func (s serving) Run() int {
	code := s.M.Run()
	for _, f := range atEnd {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// What is not as told is an error, and so exit code 1.
func TestVerdictRefuses(t *testing.T) {
	for name, spoil := range map[string]func(p *provider, stored []intent) []intent{
		"nothing":                   nil,
		"an intent that is missing": func(_ *provider, is []intent) []intent { return is[1:] },
		"an intent that is double":  func(_ *provider, is []intent) []intent { return append(is, is[2]) },
		"an intent of no order":     func(_ *provider, is []intent) []intent { return append(is, intent{order: 99, state: "completed"}) },
		"an intent that was given up": func(_ *provider, is []intent) []intent {
			is[3].state = "discarded"
			return is
		},
		"another key": func(p *provider, is []intent) []intent {
			p.asked[unheard][1] = "another"
			return is
		},
		"a charge that was not made": func(p *provider, is []intent) []intent { delete(p.charged, 4); return is },
		"a second charge":            func(p *provider, is []intent) []intent { p.charged[unheard]++; return is },
		"no second request":          func(p *provider, is []intent) []intent { p.asked[unheard] = p.asked[unheard][:1]; return is },
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{out: io.Discard, provider: newProvider(unheard), placed: early}
			var stored []intent
			for n := 1; n <= s.placed; n++ {
				i := intent{key: fmt.Sprint("charge ", n), order: n, state: "completed"}
				stored = append(stored, i)
				s.provider.charge(i.key, order{Number: n})
			}
			s.provider.charge(stored[unheard-1].key, order{Number: unheard})
			if spoil != nil {
				stored = spoil(s.provider, stored)
			}
			if err := s.verdict(stored); (err == nil) != (spoil == nil) {
				t.Errorf("got the error %v", err)
			}
		})
	}
}

// A job is done when the provider says so, is tried again when it is not known what became of it, and is left to somebody when trying again cannot help, or could charge twice.
func TestChargerGoesByTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		age         time.Duration
		asked       bool
		done, again bool
	}{
		"charged":              {status: http.StatusOK, asked: true, done: true},
		"busy":                 {status: http.StatusServiceUnavailable, asked: true, again: true},
		"under way":            {status: http.StatusConflict, asked: true, again: true},
		"refused":              {status: http.StatusBadRequest, asked: true},
		"no answer":            {asked: true, again: true},
		"almost forgotten":     {status: http.StatusOK, age: remembers - time.Minute, asked: true, done: true},
		"forgotten, may it be": {status: http.StatusOK, age: remembers + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			keys := make(chan string, 2)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Idempotency-Key")
				if c.status == 0 {
					panic(http.ErrAbortHandler) // the connection breaks
				}
				w.WriteHeader(c.status)
			}))
			defer api.Close()
			w := &charger{provider: api.URL, client: api.Client()}
			err := w.Work(t.Context(), &river.Job[charge]{
				JobRow: &rivertype.JobRow{CreatedAt: time.Now()}, // anew, by a reset, say
				Args:   charge{Key: "charge 7", Arrived: time.Now().Add(-c.age), order: order{Number: 7}},
			})
			_, left := err.(*river.JobCancelError) //nolint:errorlint // River looks at what was returned
			if (err == nil) != c.done || left != !c.done && !c.again {
				t.Errorf("the answer is %v", err)
			}
			asked := ""
			if len(keys) > 0 {
				asked = <-keys
			}
			if (asked == "charge 7") != c.asked {
				t.Errorf("the provider was asked with the key %q", asked)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	if _, err := parse(nil, io.Discard); err == nil || !strings.Contains(err.Error(), "-postgres") {
		t.Errorf("without a database it says %v", err)
	}
}
