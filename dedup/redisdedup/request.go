package redisdedup

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/redismaster"
)

//go:embed commit.lua
var commitText string

var commit = redismaster.NewScript(commitText)

// request is one run of the script; see commit.lua.
type request struct {
	app      string
	keys     []string // what is used
	expect   []expectation
	kinds    [][2]string // a key and its type
	write    *Write      // nil: no effects
	marks    [][]string
	replicas int // that are waited for
}

// expectation is a command that reads, and what it answers. Without want it is only asked.
type expectation struct{ ask, want []string }

// most is the number of words of a command: Lua gives a function some 8000 arguments.
const most = 4000

// chunks cuts words in commands of up to most words, which all begin with the same ones. Width is how many belong together.
func chunks(width int, head, words []string) (commands [][]string) {
	size := most / width * width
	for len(words) > 0 {
		n := min(size, len(words))
		commands = append(commands, append(append(make([]string, 0, len(head)+n), head...), words[:n]...))
		words = words[n:]
	}
	return commands
}

func appendWords(args []any, words []string) []any {
	args = append(args, len(words))
	for _, w := range words {
		args = append(args, w)
	}
	return args
}

func appendSteps(args []any, steps []step) []any {
	args = append(args, len(steps))
	for _, s := range steps {
		args = appendWords(appendWords(append(args, s.body), s.keys), s.args)
	}
	return args
}

// args are those of the script.
func (r *request) args(a *attempt, mode string) []any {
	args := append([]any{a, mode}, len(r.expect))
	for _, e := range r.expect {
		args = appendWords(appendWords(args, e.ask), e.want)
	}
	w := r.write
	if w == nil {
		w = &Write{}
	}
	args = append(args, len(r.kinds)+len(w.kinds))
	for _, kinds := range [][][2]string{r.kinds, w.kinds} {
		for _, k := range kinds {
			args = append(args, k[0], k[1])
		}
	}
	args = append(appendSteps(appendSteps(args, w.checks), w.effects), len(r.marks))
	for _, words := range r.marks {
		args = appendWords(args, words)
	}
	return args
}

// attempt is the name of a write, and counts how often it was sent: a client sends it again by itself, and the answer to the last sending says nothing of the others.
type attempt struct {
	token string
	sent  atomic.Int32
}

// MarshalBinary is called whenever the client sends it.
func (a *attempt) MarshalBinary() ([]byte, error) {
	a.sent.Add(1)
	return []byte(a.token), nil
}

// answer is what the script said.
type answer struct {
	said string
	left bool     // ok: a sweep has left something
	rows []string // ok, rows
	what string   // otherwise: the key, or the number, or the name
	why  string
}

func parseAnswer(cmd *redis.Cmd) (a answer, err error) {
	parts, err := cmd.Slice()
	if err != nil {
		return a, err
	}
	words := make([]string, len(parts))
	for i, part := range parts {
		words[i] = fmt.Sprint(part)
	}
	switch {
	case len(words) >= 2 && words[0] == "ok":
		return answer{said: "ok", left: words[1] != "0", rows: words[2:]}, nil
	case len(words) >= 1 && words[0] == "rows":
		return answer{said: "rows", rows: words[1:]}, nil
	case len(words) == 3:
		return answer{said: words[0], what: words[1], why: words[2]}, nil
	}
	return a, fmt.Errorf("%w: the script answers %.100q", ErrRow, words)
}

// A write whose answer was lost is sent again, so often at most before the call gives up.
const settles = 5

var settling = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second}

// read asks what the expectations of r read.
func (s *Sink) read(ctx context.Context, r *request) ([]string, error) {
	cmd := s.client.Run(ctx, commit, append([]string{s.noteKey(r.app, "")}, r.keys...), r.args(&attempt{}, "read")...)
	a, err := parseAnswer(cmd)
	if err != nil {
		return nil, s.unavailable(ctx, "read", err)
	}
	return a.rows, nil
}

// send runs the script until it is known what it did, as far as ctx and a limit let it. Repeated, it finds its own marks, or its note, and says so. Its error wraps ErrUnavailable or ErrUnsettled; short
// is one that wraps ErrUnsettled, of a write that was done.
func (s *Sink) send(ctx context.Context, r *request) (a answer, short, err error) {
	this := &attempt{token: rand.Text()}
	keys, args := append([]string{s.noteKey(r.app, this.token)}, r.keys...), r.args(this, "write")
	if r.write != nil {
		keys = append(keys, r.write.keys...)
	}
	for n := 1; ; n++ {
		cmd, short := s.client.RunAndWait(ctx, r.replicas, commit, keys, args...)
		a, err := parseAnswer(cmd)
		if err == nil {
			if short != nil && a.said == "ok" {
				short = s.fault(ctx, "wait for replicas", dedup.ErrUnsettled, short)
			} else {
				short = nil
			}
			return a, short, nil
		}
		var replied redis.Error
		if sent := this.sent.Load(); sent == 0 || sent == 1 && errors.As(err, &replied) {
			return a, nil, s.unavailable(ctx, "write", err)
		}
		if n == settles || backoff.Wait(ctx, settling.Delay(n)) != nil {
			return a, nil, s.fault(ctx, "write", dedup.ErrUnsettled, err)
		}
	}
}

// words are numbers and the like, as commands have them.
func number(n int64) string { return strconv.FormatInt(n, 10) }
