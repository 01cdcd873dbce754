package redismaster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is one in Lua, sent by its digest, and in full to a server that does not know it.
type Script struct{ *redis.Script }

// NewScript makes a script of its parts.
func NewScript(parts ...string) Script {
	return Script{redis.NewScript(strings.Join(parts, ""))}
}

// Run runs a script on the master that has the keys.
func (c Client) Run(ctx context.Context, s Script, keys []string, args ...any) *redis.Cmd {
	answer := s.Run(ctx, c.UniversalClient, keys, args...)
	c.Reload(ctx, answer.Err())
	return answer
}

// RunAndWait runs a script that writes, and waits until so many replicas have what it wrote: within a second and half of what ctx and the client's ReadTimeout leave. With an error of the
// answer it may have written; short is one that says that it has, and that too few replicas acknowledged it. WAIT is about what this call wrote: after a script that writes nothing it says nothing.
func (c Client) RunAndWait(ctx context.Context, replicas int, s Script, keys []string, args ...any) (answer *redis.Cmd, short error) {
	if replicas == 0 {
		return c.Run(ctx, s, keys, args...), nil
	}
	master, err := c.Of(ctx, keys[0])
	if err != nil {
		answer = redis.NewCmd(ctx)
		answer.SetErr(err)
		return answer, nil
	}
	patience := min(maxWait, master.Options().ReadTimeout/2)
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, max(time.Until(deadline)/2, time.Millisecond)) // 0 would wait for ever
	}
	// WAIT is about the writes of its own connection, and a pipeline has one.
	send := func(run func(redis.Scripter) *redis.Cmd) (written, waited *redis.Cmd) {
		pipe := master.Pipeline()
		written, waited = run(pipe), pipe.Do(ctx, "wait", replicas, patience.Milliseconds())
		_, _ = pipe.Exec(ctx) // each command has its own error
		return written, waited
	}
	answer, waited := send(func(to redis.Scripter) *redis.Cmd { return s.EvalSha(ctx, to, keys, args...) })
	if redis.HasErrorPrefix(answer.Err(), "NOSCRIPT") {
		answer, waited = send(func(to redis.Scripter) *redis.Cmd { return s.Eval(ctx, to, keys, args...) })
	}
	if answer.Err() != nil {
		c.Reload(ctx, answer.Err())
		return answer, nil
	}
	if n, err := waited.Int64(); err != nil {
		short = fmt.Errorf("it is written, but whether replicas have it is not known: %w", err)
	} else if n < int64(replicas) {
		short = fmt.Errorf("it is written, but of the %d replicas that Config.Replicas wants %d acknowledged it within %v", replicas, n, patience)
	}
	return answer, short
}

// maxWait is the longest wait for replicas.
const maxWait = time.Second
