package filesource_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
)

// stream is a directory, written to as a shell would.
type stream struct {
	t   *testing.T
	dir string
	cfg filesource.Config
}

func newStream(t *testing.T) *stream {
	t.Helper()
	return &stream{t: t, dir: t.TempDir(), cfg: filesource.Config{Busy: time.Microsecond, Idle: time.Millisecond}}
}

func (s *stream) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file with that content, in place of the one that is there.
func (s *stream) write(name, content string) {
	s.t.Helper()
	s.check(os.WriteFile(s.path(name), []byte(content), 0o644))
}

// add appends to a file, which it makes if need be.
func (s *stream) add(name, content string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	s.check(err)
	_, err = f.WriteString(content)
	s.check(errors.Join(err, f.Close()))
}

func (s *stream) remove(name string) {
	s.t.Helper()
	s.check(os.RemoveAll(s.path(name)))
}

func (s *stream) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) source() *filesource.Source { return filesource.New(s.dir, &s.cfg) }

func (s *stream) ask() consumer.Stream {
	s.t.Helper()
	st, err := s.source().Stream(s.t.Context())
	s.check(err)
	return st
}

// try opens a shard by a source of its own, as another process would.
func (s *stream) try(shard string, at checkpoint.Start) (consumer.Reader, error) {
	s.t.Helper()
	return s.source().Open(s.t.Context(), s.ask(), consumer.Shard{ID: shard}, at)
}

func (s *stream) open(shard string, at checkpoint.Start) consumer.Reader {
	s.t.Helper()
	r, err := s.try(shard, at)
	s.check(err)
	s.t.Cleanup(func() { s.check(r.Close()) })
	return r
}

func (s *stream) next(r consumer.Reader) consumer.Page {
	s.t.Helper()
	return s.page(r, consumer.Want{})
}

func (s *stream) page(r consumer.Reader, w consumer.Want) consumer.Page {
	s.t.Helper()
	p, err := r.Next(s.t.Context(), w)
	s.check(err)
	return p
}

// mustGive reads a page, which must have these records.
func (s *stream) mustGive(r consumer.Reader, want ...string) consumer.Page {
	s.t.Helper()
	p := s.next(r)
	if got := lines(p); !slices.Equal(got, want) {
		s.t.Errorf("the page has %q, want %q", got, want)
	}
	return p
}

// mustEnd reads the last page, which must have these records.
func (s *stream) mustEnd(r consumer.Reader, want ...string) consumer.Page {
	s.t.Helper()
	p := s.mustGive(r, want...)
	if !p.End {
		s.t.Errorf("the page with %q does not end the shard", lines(p))
	}
	return p
}

// mustFail reads twice: an error stays until its cause is gone. It must be want and name all of the texts.
func (s *stream) mustFail(r consumer.Reader, want error, texts ...string) {
	s.t.Helper()
	for range 2 {
		p, err := r.Next(s.t.Context(), consumer.Want{})
		mustBe(s.t, err, want, texts...)
		if err == nil {
			s.t.Fatalf("the page has %q", lines(p))
		}
	}
}

func mustBe(t *testing.T, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	for _, text := range texts {
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("the error %q does not name %q", err, text)
		}
	}
}

func lines(p consumer.Page) []string {
	var all []string
	for _, r := range p.Records {
		all = append(all, string(r.Data))
	}
	return all
}

func keys(p consumer.Page) []string {
	var all []string
	for _, r := range p.Records {
		all = append(all, r.Key)
	}
	return all
}

func offsets(p consumer.Page) []string {
	var all []string
	for _, r := range p.Records {
		all = append(all, r.Position.String())
	}
	return all
}

func after(offset uint64) checkpoint.Start { return checkpoint.After(checkpoint.Offset(offset)) }
