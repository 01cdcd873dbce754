package filesource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
	"github.com/runnelhq/runnel/consumer/sourcetest"
	"github.com/runnelhq/runnel/internal/backoff"
)

// TestConformance runs the suite on directories whose lines have no time of their own, and on some whose lines have.
func TestConformance(t *testing.T) {
	for name, cfg := range map[string]filesource.Config{
		"Marks": {KeyField: "k"},
		"Times": {KeyField: "k", TimeField: "t"},
	} {
		cfg.KeyOrder, cfg.Busy, cfg.Idle = true, time.Millisecond, 5*time.Millisecond
		t.Run(name, func(t *testing.T) { sourcetest.Run(t, driver(&cfg)) })
	}
}

func driver(cfg *filesource.Config) sourcetest.Driver {
	return sourcetest.Driver{
		New: func(tb testing.TB, shards int) *sourcetest.Stream {
			p := &producer{dir: filepath.Join(tb.TempDir(), "stream"), shards: shards}
			if err := p.create(tb.Context()); err != nil {
				tb.Fatal(err)
			}
			return &sourcetest.Stream{
				Source: func() consumer.Source { return filesource.New(p.dir, cfg) },
				Put:    p.put,
				Read:   read,
				Roll:   p.split,
				Merge:  p.merge,
				Delete: func(context.Context) error { return os.RemoveAll(p.dir) },
				Create: p.create,
				Pass:   backoff.Wait,
			}
		},
		Missing: func(tb testing.TB) consumer.Source {
			return filesource.New(filepath.Join(tb.TempDir(), "absent"), cfg)
		},
		Lacks: map[sourcetest.Ability]string{
			sourcetest.Trim:      "a file holds all of its lines, or is another one",
			sourcetest.Expire:    "a place in a file does not expire",
			sourcetest.Aggregate: "a line is one record",
		},
	}
}

// producer spreads keys over the open shards of a directory.
type producer struct {
	dir    string
	shards int

	mu   sync.Mutex
	made int
	open [16]string // by the hash of the key
}

type line struct {
	Key   string    `json:"k"`
	Value string    `json:"v"`
	Time  time.Time `json:"t"`
}

func read(r consumer.Record) (key string, value []byte, err error) {
	var l line
	err = json.Unmarshal(r.Data, &l)
	return l.Key, []byte(l.Value), err
}

func (p *producer) writer() *filesource.Writer { return filesource.NewWriter(p.dir) }

func (p *producer) name() string {
	p.made++
	return fmt.Sprintf("shard-%03d", p.made)
}

func (p *producer) create(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = 0
	names := make([]string, p.shards)
	for i := range names {
		names[i] = p.name()
		if err := p.writer().Create(names[i]); err != nil {
			return err
		}
	}
	for i := range p.open {
		p.open[i] = names[i%len(names)]
	}
	return nil
}

func (p *producer) put(_ context.Context, key string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(line{key, string(value), time.Now()})
	if err != nil {
		return err
	}
	h := fnv.New32a()
	if _, err := h.Write([]byte(key)); err != nil {
		return err
	}
	return p.writer().Append(p.open[h.Sum32()%uint32(len(p.open))], b)
}

func (p *producer) split(_ context.Context, shard string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replace([]string{shard}, []string{p.name(), p.name()})
}

func (p *producer) merge(_ context.Context, a, b string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replace([]string{a, b}, []string{p.name()})
}

func (p *producer) replace(parents, children []string) error {
	if err := p.writer().Reshard(parents, children); err != nil {
		return err
	}
	for i, owner := range p.open {
		for _, parent := range parents {
			if owner == parent {
				p.open[i] = children[i%len(children)]
			}
		}
	}
	return nil
}
