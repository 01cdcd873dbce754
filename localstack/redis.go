package localstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisVariable names the server that StartRedis uses instead of one of its own.
const redisVariable = "RUNNEL_REDIS"

// Redis is a Redis server of one's own, or the one of the environment.
type Redis struct {
	// URL is where it is, for [redis.ParseURL]: redis://127.0.0.1:port, or what RUNNEL_REDIS says.
	URL string
	// Addr is host and port of it.
	Addr string

	options  Options
	port     string
	settings []string
	part     *process // nil: the environment's, or it was closed
}

// StartRedis starts redis-server in a tenth of a second, with nothing stored on disk and maxmemory-policy noeviction. With RUNNEL_REDIS, a URL such as
// redis://user:password@host:6379/1, it uses that server instead, and Close leaves it as it is. An error that matches ErrMissing tells how to install it.
func StartRedis(ctx context.Context, o Options) (*Redis, error) {
	url := os.Getenv(redisVariable)
	if url == "" {
		return StartRedisNode(ctx, o)
	}
	parsed, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("localstack: %s: %w", redisVariable, err)
	}
	r := &Redis{URL: url, Addr: parsed.Addr}
	o = o.withDefaults()
	o.Timeout = min(o.Timeout, 15*time.Second) // it was started before
	if err := await(ctx, o, nil, "the Redis at "+r.Addr, r.probe); err != nil {
		return nil, err
	}
	return r, nil
}

// StartRedisNode is StartRedis with more settings, as pairs of redis.conf: "replicaof", "127.0.0.1 16001". Whatever the environment says, the server is its own:
// a part of a replicated set, of a cluster or of Sentinel ("sentinel", its settings).
func StartRedisNode(ctx context.Context, o Options, settings ...string) (*Redis, error) {
	o = o.withDefaults()
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("localstack: %w: redis-server is not installed: run: make engines: %w", ErrMissing, err)
	}
	if len(settings)%2 != 0 {
		return nil, fmt.Errorf("localstack: settings of Redis are pairs: %q", settings)
	}
	r := &Redis{options: o, settings: settings}
	if err := onFreePorts(ctx, 2, func(ports []string) error {
		r.port, r.Addr = ports[0], net.JoinHostPort("127.0.0.1", ports[0])
		r.URL = "redis://" + r.Addr
		return r.start(ctx, ports[1])
	}); err != nil {
		return nil, err
	}
	return r, nil
}

// start starts the server at its port.
func (r *Redis) start(ctx context.Context, busPort string) error {
	folder, err := os.MkdirTemp("", "runnel-redis-*")
	if err != nil {
		return err
	}
	var conf strings.Builder
	argv := []string{"redis-server", filepath.Join(folder, "redis.conf")}
	set := func(name, value string) { fmt.Fprintf(&conf, "%s %s\n", name, value) }
	set("bind", "127.0.0.1")
	set("port", r.port)
	set("dir", folder)
	sentinel := false
	for i := 0; i < len(r.settings); i += 2 {
		sentinel = sentinel || r.settings[i] == "sentinel"
	}
	if sentinel {
		argv = append(argv, "--sentinel")
	} else {
		set("cluster-port", busPort) // its default may be a port of outgoing connections
		set("appendonly", "no")
		set("save", `""`)
		set("maxmemory-policy", "noeviction")
		set("repl-diskless-sync-delay", "0")
	}
	for i := 0; i < len(r.settings); i += 2 {
		set(r.settings[i], r.settings[i+1])
	}
	if err := os.WriteFile(argv[1], []byte(conf.String()), 0o600); err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	p, err := launch(ctx, r.options, "redis", folder, folder, nil, argv...)
	if err != nil {
		return err
	}
	if err := await(ctx, r.options, p, "redis", r.probe); err != nil {
		return errors.Join(err, p.stop())
	}
	r.part = p
	return nil
}

// Restart kills the server as kill -9 does and starts it again at the same address, with nothing of what it held.
func (r *Redis) Restart(ctx context.Context) error {
	if err := r.Close(); err != nil {
		return err
	}
	busPort, err := freePort(ctx)
	if err != nil {
		return err
	}
	return r.start(ctx, busPort)
}

// Close kills the server as kill -9 does and removes its files. The environment's stays as it is.
func (r *Redis) Close() error {
	p := r.part
	r.part = nil
	return p.stop()
}

// probe asks it once. That it wants credentials is an answer too.
func (r *Redis) probe(ctx context.Context) error {
	o, err := redis.ParseURL(r.URL)
	if err != nil {
		return err
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr); err != nil { // the client would log it
		return err
	} else if err := conn.Close(); err != nil {
		return err
	}
	o.MaxRetries, o.ContextTimeoutEnabled = -1, true
	c := redis.NewClient(o)
	err = c.Ping(ctx).Err()
	if redis.IsAuthError(err) {
		err = nil
	}
	return errors.Join(err, c.Close())
}
