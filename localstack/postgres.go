package localstack

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Postgres is a PostgreSQL server for tests. It keeps its defaults, fsync among them, so that what it acknowledges is as
// durable as elsewhere.
type Postgres struct {
	// URL is its address, of the role postgres, which may do everything, in the database postgres:
	// postgres://postgres:secret@127.0.0.1:16001/postgres?sslmode=disable.
	URL string

	part   *process // nil: the server was there
	o      Options
	bin    string
	secret string
}

// StartPostgres starts a PostgreSQL with a folder of its own, made by initdb, in two to four seconds. With
// RUNNEL_POSTGRES=postgres://… it is the server of that URL, which must be one for tests: its role makes databases and roles.
// The programs are those in PATH, or else the newest in /usr/lib/postgresql; root runs them as the user postgres, or nobody,
// for they refuse to run as root. An error that matches ErrMissing tells how to install them.
func StartPostgres(ctx context.Context, o Options) (*Postgres, error) {
	o = o.withDefaults()
	if there := os.Getenv("RUNNEL_POSTGRES"); there != "" {
		if u, err := url.Parse(there); err != nil || u.Host == "" {
			return nil, errors.New("localstack: RUNNEL_POSTGRES is no postgres://user:password@host:port/database")
		}
		return &Postgres{URL: there, o: o}, nil
	}
	bin, err := postgresBin("initdb", "postgres")
	if err != nil {
		return nil, fmt.Errorf("localstack: %w", err)
	}
	p := &Postgres{o: o, bin: bin, secret: rand.Text()}
	// The first database is in the order of bytes, so that it can be made anywhere. The folder is new, and needs no care for
	// what a loss of power would leave of it.
	return p, p.start(ctx, `"$BIN/initdb" --pgdata=data --username=postgres --pwfile=secret --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync --no-instructions`)
}

// Standby starts another server that follows p: it can be read, and is behind. SELECT pg_promote() makes it a primary of its own.
func (p *Postgres) Standby(ctx context.Context) (*Postgres, error) {
	if p.part == nil {
		return nil, errors.New("localstack: a server that was there is given no standby: unset RUNNEL_POSTGRES")
	}
	if _, err := postgresBin("pg_basebackup"); err != nil {
		return nil, fmt.Errorf("localstack: %w", err)
	}
	s := &Postgres{o: p.o, bin: p.bin, secret: p.secret}
	return s, s.start(ctx, `"$BIN/pg_basebackup" --dbname="`+p.URL+`" --pgdata=data --write-recovery-conf --checkpoint=fast --no-sync`)
}

// start makes the folder "data" by a command and serves it.
func (p *Postgres) start(ctx context.Context, fill string) error {
	return onFreePorts(ctx, 1, func(ports []string) error {
		folder, err := os.MkdirTemp("", "runnel-postgres-*")
		if err != nil {
			return err
		}
		as, err := p.give(folder)
		if err != nil {
			return errors.Join(fmt.Errorf("localstack: postgres: %w", err), os.RemoveAll(folder))
		}
		// Shared memory in files of the folder, so that it goes with it.
		script := fill + ` >/dev/null && exec "$BIN/postgres" -D data -p ` + ports[0] + ` -c listen_addresses=127.0.0.1 -c unix_socket_directories= ` +
			`-c dynamic_shared_memory_type=mmap -c max_connections=200`
		env := []string{"BIN=" + p.bin, "HOME=" + folder, "LC_ALL=C"}
		if p.part, err = launch(ctx, p.o, "postgres", folder, folder, env, append(as, "/bin/sh", "-c", script)...); err != nil {
			return err
		}
		at := net.JoinHostPort("127.0.0.1", ports[0])
		p.URL = (&url.URL{Scheme: "postgres", User: url.UserPassword("postgres", p.secret), Host: at, Path: "/postgres", RawQuery: "sslmode=disable"}).String()
		if err := await(ctx, p.o, p.part, "postgres", func(ctx context.Context) error { return probePostgres(ctx, at) }); err != nil {
			return errors.Join(err, p.Close())
		}
		return nil
	})
}

// give prepares folder for those who run the server, and returns the command that makes root one of them.
func (p *Postgres) give(folder string) (as []string, err error) {
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte(p.secret), 0o600); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	other, err := user.Lookup("postgres")
	if err != nil {
		other, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return nil, fmt.Errorf("%w: PostgreSQL does not run as root, and setpriv, of util-linux, which would run it as %s, is not there: start this as another user", ErrMissing, other.Username)
	}
	uid, uidErr := strconv.Atoi(other.Uid)
	gid, gidErr := strconv.Atoi(other.Gid)
	as = []string{setpriv, "--reuid=" + other.Uid, "--regid=" + other.Gid, "--clear-groups", "--"}
	return as, errors.Join(uidErr, gidErr, os.Chown(folder, uid, gid), os.Chown(secret, uid, gid))
}

// postgresBin is the folder of PostgreSQL's programs.
func postgresBin(programs ...string) (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	newest, best := -1, ""
	for _, folder := range folders {
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(folder))); err == nil && v > newest && holds(folder, programs) {
			newest, best = v, folder
		}
	}
	if path, err := exec.LookPath(programs[0]); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && holds(filepath.Dir(path), programs) {
			best = filepath.Dir(path)
		}
	}
	if best == "" {
		return "", fmt.Errorf("%w: %s of PostgreSQL are neither in PATH nor in /usr/lib/postgresql/*/bin: run: make engines", ErrMissing, strings.Join(programs, " and "))
	}
	return best, nil
}

func holds(folder string, programs []string) bool {
	for _, program := range programs {
		if _, err := exec.LookPath(filepath.Join(folder, program)); err != nil {
			return false
		}
	}
	return true
}

// probePostgres begins a conversation: a server that serves asks for the password, one that is starting says so.
func probePostgres(ctx context.Context, address string) (err error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, c.Close()) }()
	deadline, _ := ctx.Deadline()
	hello := append(binary.BigEndian.AppendUint32(nil, 3<<16), "user\x00postgres\x00\x00"...)
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(hello))), hello...)) //nolint:gosec // a few bytes
	answer := make([]byte, 5)
	if err = errors.Join(err, c.SetReadDeadline(deadline)); err == nil {
		_, err = io.ReadFull(c, answer)
	}
	switch {
	case err != nil:
		return err
	case answer[0] != 'R':
		text, _ := io.ReadAll(io.LimitReader(c, int64(min(1024, binary.BigEndian.Uint32(answer[1:])))))
		return fmt.Errorf("it answers %q", text)
	}
	return nil
}

// Close ends the server and removes its files. One that was there stays as it is.
func (p *Postgres) Close() error {
	if p.part == nil {
		return nil
	}
	// It removes what it has of the system's shared memory if it is asked to end, and is killed if it does not.
	if pid := p.postmaster(); pid != 0 && quit(pid) == nil {
		select {
		case <-p.part.done:
		case <-time.After(5 * time.Second):
		}
	}
	return p.part.stop()
}

// postmaster is the process that all others of the server descend from, or 0.
func (p *Postgres) postmaster() int {
	file, err := os.ReadFile(filepath.Join(p.part.folder, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(file), "\n")
	pid, _ := strconv.Atoi(line)
	return pid
}
