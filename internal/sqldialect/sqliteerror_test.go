package sqldialect

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
)

// The errors of three drivers, in their shapes.
type (
	moderncError struct{ code int }

	mattnCode     int
	mattnExtended int
	mattnError    struct {
		Code         mattnCode
		ExtendedCode mattnExtended
		SystemErrno  syscall.Errno
	}

	ncrucesCode     uint8
	ncrucesExtended uint16
	ncrucesError    struct{ code uint32 }

	// Of other databases and services.
	textCodeError   struct{ Code string }
	textMethodError struct{}
	askedCodeError  struct{}
)

func (*moderncError) Error() string { return "modernc" }
func (e *moderncError) Code() int   { return e.code }

func (mattnError) Error() string { return "mattn" }

func (*ncrucesError) Error() string                   { return "ncruces" }
func (e *ncrucesError) Code() ncrucesCode             { return ncrucesCode(e.code) }
func (e *ncrucesError) ExtendedCode() ncrucesExtended { return ncrucesExtended(e.code) }

func (textCodeError) Error() string   { return "text" }
func (textMethodError) Error() string { return "text" }
func (textMethodError) Code() string  { return "5" }
func (askedCodeError) Error() string  { return "asked" }
func (askedCodeError) Code(int) int   { return 5 }

func TestResultCodesOfThreeDrivers(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{&moderncError{517}, 517},
		{mattnError{Code: 5, ExtendedCode: 517}, 517},
		{mattnError{Code: 5}, 5},
		{&mattnError{Code: 5}, 5},
		{&ncrucesError{517}, 517},
		{fmt.Errorf("wrapped: %w", mattnError{Code: 8}), 8},
		{fmt.Errorf("twice: %w", fmt.Errorf("wrapped: %w", &ncrucesError{6})), 6},
		{textCodeError{"5"}, 0},
		{textMethodError{}, 0},
		{askedCodeError{}, 0},
		{errors.New("plain"), 0},
		{io.EOF, 0},
		{syscall.ENOENT, 0},
		{nil, 0},
	} {
		if got := resultCode(c.err); got != c.want {
			t.Errorf("%T %v: %d; want %d", c.err, c.err, got, c.want)
		}
	}
}

func TestWhatAilsSQLite(t *testing.T) {
	for code, ails := range map[int]bool{3: true, 7: true, 8: true, 10: true, 522: true, 11: true, 13: true, 14: true, 23: true, 26: true, 1: false, 5: false, 19: false, 787: false} {
		var d SQLite
		if err := (&moderncError{code}); !d.Answered(err) || d.Ails(err) != ails {
			t.Errorf("%d: answered %v, ails %v; want an answer and %v", code, d.Answered(err), d.Ails(err), ails)
		}
	}
	if (SQLite{}).Answered(io.ErrUnexpectedEOF) {
		t.Error("the end of a connection is taken for an answer")
	}
}
