package filesource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// maxLine is the greatest Config.MaxLine.
const maxLine = 1 << 30

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
	dir  directory
	cfg  Config
	lost error // why the name is not known

	released sync.Pool // of *[]consumer.Record: a page's records take more memory than its lines
}

// New is a source on a directory. It touches no file; what is wrong with its arguments is said by [Source.Validate] and by the first call. A nil
// cfg has the defaults.
func New(dir string, cfg *Config) *Source {
	s := &Source{dir: directory(dir), cfg: cfg.orDefaults()}
	if s.cfg.Name == "" && dir != "" {
		s.cfg.Name, s.lost = filepath.Abs(dir)
	}
	return s
}

// Validate joins all faults of what New was given. It touches no file.
func (s *Source) Validate() error {
	var faults []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf("filesource: "+format, args...))
		}
	}
	refuse(s.dir == "", "no directory is given: name the one that holds the shards' files")
	refuse(s.lost != nil, "the directory %s has no absolute path: give it, or Config.Name: %w", s.dir, s.lost)
	refuse(s.cfg.KeyOrder && s.cfg.KeyField == "", "Config.KeyOrder is set and Config.KeyField is not: without keys there is no order of keys")
	refuse(s.cfg.Busy < 0, "Config.Busy is %v: it cannot be negative; 0 is the default", s.cfg.Busy)
	refuse(s.cfg.Idle < 0, "Config.Idle is %v: it cannot be negative; 0 is the default", s.cfg.Idle)
	refuse(s.cfg.Idle > 0 && s.cfg.Idle < s.cfg.Busy, "Config.Idle is %v, shorter than Busy, %v: an idle file cannot be looked at more often than a busy one", s.cfg.Idle, s.cfg.Busy)
	refuse(s.cfg.MaxLine < 0 || s.cfg.MaxLine > maxLine, "Config.MaxLine is %d: use 1 to %d, or 0 for the default", s.cfg.MaxLine, maxLine)
	return errors.Join(faults...)
}

// ready is what keeps every call from asking.
func (s *Source) ready(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Stream tells which stream is in the directory. Its incarnation is the ID in the file stream.id, which is made if it is not there. A directory that
// has none, and cannot be written to, has the stream's name for an incarnation. Retention is unknown: files are held until somebody removes them.
func (s *Source) Stream(ctx context.Context) (consumer.Stream, error) {
	if err := s.ready(ctx); err != nil {
		return consumer.Stream{}, err
	}
	id, err := s.dir.identify()
	if err != nil {
		return consumer.Stream{}, s.errorf("ask which stream it holds: %w", explain(err))
	}
	return consumer.Stream{Name: s.cfg.Name, Incarnation: s.named(id), KeyOrder: s.cfg.KeyOrder}, nil
}

// Open begins to read a shard. Besides the errors of [consumer.Source], a position that is no end of a line in the shard's file is [ErrRewritten].
func (s *Source) Open(ctx context.Context, st consumer.Stream, sh consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	r, err := s.open(st, sh.ID, at)
	if err != nil {
		return nil, err
	}
	return r, nil
}
