package filesource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// Config is how a directory is read. The zero value of each field is its default.
type Config struct {
	// Name is what the stream is called, in leases and in Stream.Name. Defaults to the absolute path of the directory. Give it where workers see
	// the directory under different paths.
	Name string
	// KeyField is the top-level field of a line whose value is the record's key: a string, or the text of a number, true or false. Lines that have
	// no such field, or are no JSON object, have the key "". Defaults to none.
	KeyField string
	// KeyOrder says that the producer puts all lines of one key into one file and its descendants. Only the producer can know. Defaults to false.
	KeyOrder bool
	// TimeField is the top-level field of a line that says when it was written, in RFC 3339. Defaults to none: see the package's
	// documentation for what Record.Arrived is then.
	TimeField string
	// Closed says that the files do not grow, as those of an archive: each shard ends where its file does, with or without a marker.
	Closed bool
	// Busy is between two looks at a file that has just grown. Defaults to 10 ms.
	Busy time.Duration
	// Idle is the longest time between two looks at a file that does not grow, to which the interval grows. Defaults to 1 s, or to Busy if that is more.
	Idle time.Duration
	// MaxLine is the most bytes of a line. A longer one is an error at which its shard waits. Defaults to 16 MiB.
	MaxLine int
}

func (c *Config) orDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	d.Busy = cmp.Or(d.Busy, 10*time.Millisecond)
	d.Idle = cmp.Or(d.Idle, max(time.Second, d.Busy))
	d.MaxLine = cmp.Or(d.MaxLine, 16<<20)
	return d
}

var _ consumer.Source = (*Source)(nil)

// Source is a directory as a [consumer.Source]. It is safe for concurrent use.
type Source struct {
	dir string
	cfg Config
}

// New is a source on a directory. It touches no file; what is wrong with its arguments is said by [Source.Validate] and by the first call. A nil
// cfg has the defaults.
func New(dir string, cfg *Config) *Source {
	s := &Source{dir: dir, cfg: cfg.orDefaults()}
	if s.cfg.Name == "" && dir != "" {
		s.cfg.Name, _ = filepath.Abs(dir)
	}
	return s
}

var errSoon = errors.New("filesource: cannot read yet")

// Validate joins all faults of what New was given. It touches no file.
func (s *Source) Validate() error {
	if s.dir == "" {
		return fmt.Errorf("filesource: no directory is given")
	}
	return nil
}

// Stream tells which stream is in the directory.
func (s *Source) Stream(context.Context) (consumer.Stream, error) { return consumer.Stream{}, errSoon }

// Shards lists all shards.
func (s *Source) Shards(context.Context, consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) { yield(consumer.Shard{}, errSoon) }
}

// Pin turns LATEST into an instant.
func (s *Source) Pin(_ context.Context, _ consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return at, errSoon
}

// Open begins to read a shard.
func (s *Source) Open(context.Context, consumer.Stream, consumer.Shard, checkpoint.Start) (consumer.Reader, error) {
	return nil, errSoon
}
