package filesource

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/runnelhq/runnel/consumer"
)

// id is the ID of the stream, "" if it has none. The error wraps [consumer.ErrNoStream] if there is no directory.
func (d directory) id() (string, error) {
	b, err := os.ReadFile(d.path(idFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		info, err := os.Stat(string(d))
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
			return "", fmt.Errorf("%w: there is no directory %s: make it, or check the path", consumer.ErrNoStream, d)
		case err != nil:
			return "", err
		case !info.IsDir():
			return "", fmt.Errorf("%w: %s is no directory", consumer.ErrNoStream, d)
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if err := checkID(id); err != nil {
		return "", fmt.Errorf("%s holds %q, which is no ID: %w: write one, or delete the file", d.path(idFile), brief(id), err)
	}
	return id, nil
}

// identify gives the stream an ID if it has none and the directory can be written to. Of several that do so at once all get the same.
func (d directory) identify() (string, error) {
	id, err := d.id()
	if err != nil || id != "" {
		return id, err
	}
	if err := d.put(idFile, rand.Text()+"\n"); err != nil && !errors.Is(err, fs.ErrExist) && !unwritable(err) {
		return "", err
	}
	return d.id()
}

// unwritable tells of an error that says that nothing can be written here, or not in the way it is done, now or later.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, errors.ErrUnsupported)
}

// incarnation is what tells the stream that is in the directory now from others.
func (s *Source) incarnation() (string, error) {
	id, err := s.dir.id()
	if err != nil {
		return "", s.errorf("%w", explain(err))
	}
	return s.named(id), nil
}

// named is the incarnation of a stream with that ID. Without one it is told from others by its name alone.
func (s *Source) named(id string) string {
	if id == "" {
		return "file:" + url.PathEscape(s.cfg.Name)
	}
	return "file:" + id
}

// same makes sure that the stream in the directory is still st.
func (s *Source) same(st consumer.Stream) error {
	now, err := s.incarnation()
	if err == nil && now != st.Incarnation {
		err = s.errorf("%w: it was made anew: it is %s now, and was %s", consumer.ErrNoStream, now, st.Incarnation)
	}
	return err
}

// explain adds what follows from an error of the file system.
func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: let the user of this process list the directory and read its files: %w", consumer.ErrDenied, err)
	}
	return err
}

func (s *Source) errorf(format string, args ...any) error {
	return fmt.Errorf("filesource: directory %s: %w", s.dir, fmt.Errorf(format, args...))
}
