package sqldialect

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
)

// Result codes of SQLite, the low byte of an extended one: https://www.sqlite.org/rescode.html
const (
	codeError      = 1
	codePerm       = 3
	codeBusy       = 5
	codeLocked     = 6 // by a connection that shares its cache
	codeNoMemory   = 7
	codeReadonly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeProtocol   = 15 // WAL readers and recovery got in each other's way for seconds
	codeTooBig     = 18
	codeConstraint = 19
	codeAuth       = 23
	codeNotADB     = 26

	extendedMoved = codeReadonly | 4<<8 // the file was moved or deleted since it was opened
)

// resultCode is SQLite's extended result code of an error, 0 if it has none. Drivers have it in different ways: modernc.org/sqlite as a method
// Code, github.com/ncruces/go-sqlite3 as a method ExtendedCode of a type of its own, github.com/mattn/go-sqlite3 as fields Code and
// ExtendedCode, of which the second may be 0.
func resultCode(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.ValueOf(err)
		for _, method := range []reflect.Value{v.MethodByName("ExtendedCode"), v.MethodByName("Code")} {
			if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
				continue
			}
			if code := integer(method.Call(nil)[0]); code > 0 {
				return code
			}
		}
		if v = reflect.Indirect(v); v.Kind() != reflect.Struct {
			continue
		}
		if code := cmp.Or(integer(v.FieldByName("ExtendedCode")), integer(v.FieldByName("Code"))); code > 0 {
			return code
		}
	}
	return 0
}

// integer is the value of v if it is of any integer type, or 0.
func integer(v reflect.Value) int {
	switch {
	case v.CanInt():
		return int(v.Int())
	case v.CanUint():
		return int(v.Uint()) //nolint:gosec // a code
	}
	return 0
}

// Obstacle names the cause of a transient error.
func (SQLite) Obstacle() string { return "another connection holds the lock of the database" }

// Transient tells of an error that others are the cause of: nothing was done, and it may go well the next time.
func (SQLite) Transient(err error) bool {
	switch resultCode(err) & 0xff {
	case codeBusy, codeLocked, codeProtocol:
		return true
	}
	return false
}

// BlamesRow tells of an error that is about one row and not about the database.
func (SQLite) BlamesRow(err error) bool {
	code := resultCode(err) & 0xff
	return code == codeConstraint || code == codeTooBig
}

// Answered tells that SQLite said what is wrong.
func (SQLite) Answered(err error) bool { return resultCode(err) != 0 }

// Ails tells of an error of the file, the disk or the connection, whatever was asked for.
func (SQLite) Ails(err error) bool {
	switch resultCode(err) & 0xff {
	case codePerm, codeNoMemory, codeReadonly, codeIO, codeCorrupt, codeFull, codeCantOpen, codeAuth, codeNotADB:
		return true
	}
	return false
}

// Explain adds what follows from an error by its code.
func (d SQLite) Explain(err error) error {
	switch code := resultCode(err); {
	case code == extendedMoved:
		return fmt.Errorf("the file was moved or deleted while it was open: stop all workers before: %w", err)
	case code&0xff == codeReadonly || code&0xff == codePerm || code&0xff == codeAuth:
		return fmt.Errorf("%w: this process must be able to write the file and its directory, and the connection must not be opened or set to read only: %w", d.Denied, err)
	case code&0xff == codeCantOpen:
		return fmt.Errorf("the file cannot be opened: its directory must exist, and this process be able to write in it: %w", err)
	case code&0xff == codeNotADB:
		return fmt.Errorf("%w: the file is no SQLite database: %w", d.Table, err)
	case code&0xff == codeError:
		return fmt.Errorf("%w: Setup makes and checks the tables", err)
	}
	return err
}
