package sqldialect

import (
	"database/sql/driver"
	"errors"
	"fmt"
)

// Codes of PostgreSQL, whole or their classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	classConnection    = "08"
	classData          = "22"
	classConstraint    = "23"
	stateReadOnly      = "25006"
	stateIdle          = "25P03" // in a transaction, for too long
	classAuthorization = "28"
	stateNoSchema      = "3F000"
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateDenied        = "42501"
	stateNoTable       = "42P01"
	classCheckOfView   = "44"
	classResources     = "53"
	classLimit         = "54"
	stateLocked        = "55P03" // for longer than lock_timeout
	stateShutdown      = "57P01" // also of one backend
	stateCrash         = "57P02" // of another backend
	stateStarting      = "57P03"
	classSystem        = "58"
	classRaised        = "P0" // by a trigger
	classInternal      = "XX"
)

// primaryOnly is what to do about a server that is not to be written.
func (d PostgreSQL) primaryOnly() string {
	return d.Keeps + " need the primary, for what another says may be old: give its address, or wait for a fail-over to end (target_session_attrs=read-write finds it)"
}

// sqlState is the code of an error, "" if it has none. The drivers github.com/jackc/pgx and github.com/lib/pq have it as a method.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

func class(state string) string { return state[:min(2, len(state))] }

// Obstacle names the cause of a transient error.
func (PostgreSQL) Obstacle() string {
	return "others' transactions, or the server's end of the connection, kept it from being done"
}

// Transient tells also of a connection that was found closed, or that the server closed. At COMMIT that may be one that was closed before the answer came, or while the answer waited for
// a standby.
func (PostgreSQL) Transient(err error) bool {
	var commit *CommitError
	switch sqlState(err) {
	case stateSerialization, stateDeadlock, stateLocked:
		return true
	case stateShutdown, stateCrash, stateStarting:
		return !errors.As(err, &commit)
	case "":
		return errors.Is(err, driver.ErrBadConn) && !errors.As(err, &commit)
	}
	return false
}

// BlamesRow tells of an error that is about one row and not about the database.
func (PostgreSQL) BlamesRow(err error) bool {
	switch class(sqlState(err)) {
	case classData, classConstraint, classCheckOfView, classLimit, classRaised:
		return true
	}
	return false
}

// Answered tells that the server said what is wrong.
func (PostgreSQL) Answered(err error) bool { return sqlState(err) != "" }

// Ails tells of an error that is the server's own, or about who asks, whatever was asked for.
func (PostgreSQL) Ails(err error) bool {
	switch state := sqlState(err); class(state) {
	case classConnection, classAuthorization, classResources, classSystem, classInternal:
		return true
	default:
		return state == stateReadOnly || state == stateDenied || state == stateShutdown || state == stateCrash || state == stateStarting
	}
}

// Explain adds what follows from an error by its code.
func (d PostgreSQL) Explain(err error) error {
	state := sqlState(err)
	var commit *CommitError
	switch {
	case state == stateReadOnly:
		return fmt.Errorf("%s: %w", d.primaryOnly(), err)
	case state == stateIdle:
		return fmt.Errorf("this process stood still in the middle of a write, which was taken back so that it keeps nobody waiting: %w", err)
	case state == stateDenied:
		return fmt.Errorf("%w: grant what the package's documentation says, and to make tables CREATE on their schema: %w", d.Denied, err)
	case class(state) == classAuthorization:
		return fmt.Errorf("%w: %w", d.Denied, err)
	case state == stateNoTable:
		return fmt.Errorf("%w: Setup makes and checks the tables", err)
	case state == stateNoSchema:
		return fmt.Errorf("%w: make the schema: Setup makes what is in it", err)
	case errors.As(err, &commit):
		return fmt.Errorf("it is not known whether it was applied: %s: %w", d.Unsure, err)
	}
	return err
}
