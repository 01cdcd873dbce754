package sqllease_test

import (
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// line is the way from the pool to the file: a disk that fails, or is slow.
type line struct{ tap *tap }

var errDisk = errors.New("disk I/O error")

func (l line) Faults() []leasetest.Fault {
	return []leasetest.Fault{leasetest.None, leasetest.Cut, leasetest.Lost, leasetest.Slow}
}

func (l line) Set(f leasetest.Fault) {
	var before, after func(driver.ExecerContext, string) error
	switch f {
	case leasetest.Cut:
		before = func(driver.ExecerContext, string) error { return errDisk }
	case leasetest.Lost:
		after = func(_ driver.ExecerContext, query string) error {
			if strings.HasPrefix(query, "COMMIT") {
				return errDisk
			}
			return nil
		}
	case leasetest.Slow:
		before = func(driver.ExecerContext, string) error {
			<-time.After(leasetest.SlowBy / 5) // a write is some five statements
			return nil
		}
	}
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	l.tap.before, l.tap.after = before, after
}

// newFaulty is a store whose disk has faults, and one on the same file whose disk has none.
func newFaulty(t *testing.T) leasetest.Faulty {
	file := newFile(t)
	tap, db := tapped(t, file)
	direct := sqllease.New(open(t, file), nil)
	if err := direct.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return leasetest.Faulty{Store: sqllease.New(db, nil), Direct: direct, Line: line{tap}}
}
