// Package sqllease keeps leases in a table of an SQL database: SQLite, for workers that share one host.
//
// The database is the caller's *sql.DB, with any driver: the package imports none. A Put or Delete of any number of rows is one transaction, which compares the version of each
// row. Of two workers that write the same version, in one process or in several, one wins; and a process that is killed in the middle leaves nothing half.
//
//	db, err := sql.Open("sqlite", "file:/var/lib/orders/leases.db") // import _ "modernc.org/sqlite"
//	leases := sqllease.New(db, nil)
//
// # The database
//
// SQLite 3.37 or later, in a file on a local disk. [Store.Setup] makes the tables if they are missing and puts the database into WAL mode, which stays with the
// file. To migrate elsewhere, execute [Store.Schema] and PRAGMA journal_mode = WAL, and set [Config].MustExist:
//
//	CREATE TABLE runnel_leases (
//	  grp     TEXT    NOT NULL, -- the group: the row's key up to and including its last slash
//	  name    TEXT    NOT NULL, -- the rest of the key
//	  version INTEGER NOT NULL, -- from 1; each write adds 1
//	  cursor  INTEGER NOT NULL, -- the last change of which others hear, counted
//	  value   TEXT    NOT NULL, -- JSON text
//	  PRIMARY KEY (grp, name)
//	) STRICT;
//	CREATE INDEX runnel_leases_changes ON runnel_leases (grp, cursor);
//	CREATE TABLE runnel_leases_cursor (id INTEGER NOT NULL PRIMARY KEY, last INTEGER NOT NULL) STRICT; -- one row, of id 1: the last cursor
//
// An operator reads it with the sqlite3 shell, also while workers run:
//
//	SELECT name, value ->> 'owner', value ->> 'position' FROM runnel_leases WHERE grp LIKE 'orders-index/S/%';
//
// Columns of your own are left alone if an INSERT need not name them. A row that somebody broke is a row with an error that wraps [lease.ErrRow], and its shard is left alone:
// correct it, with a version higher than any that it had. To delete it is to forget a position and an epoch.
//
// # Connections
//
// Leases take a file of their own, or at least not one in which anybody writes for long: SQLite has one writer at a time, and whoever writes keeps every heartbeat waiting.
//
// Nothing need be set in the DSN. A lock held by another connection is waited for here, with back-off and jitter, until ctx ends; the error says so then. A busy timeout of the
// driver comes before that, and not every driver ends it with ctx: leave it at 0, or at 100 ms at most. github.com/mattn/go-sqlite3 has 5 s unless told otherwise, longer than
// [lease.Timing].Request: _busy_timeout=100.
//
// A write is BEGIN IMMEDIATE … COMMIT on one connection of the pool, and a store has one under way at a time. It is committed with synchronous = FULL:
// without, the loss of power may take back a write that was acknowledged, and with it an epoch, which would be handed out twice. (The end of a process takes nothing back at any
// setting.) A connection that is set to less is raised for the transaction and set back. No other pragma is changed but the journal mode, by Setup. On macOS also set
// fullfsync, without which the disk may hold back what it was given.
//
// In-memory databases are refused: each connection of a pool has one of its own, and one that is shared ends with the process. Use package memlease. A database that
// cannot be put into WAL mode is refused too, and with [lease.ErrDenied] one that cannot be written. Shared caches (cache=shared), PRAGMA
// locking_mode = EXCLUSIVE and immutable=1 are not for a file that several processes share.
//
// # Costs
//
// In statements. A commit waits for the disk once, whatever the number of rows.
//
//	Put        3, and 1 a row; 1 more if any row is new or gets a new cursor, 1 more for a row that is a conflict
//	Delete     3, and 1 a row; 1 more for a row that is a conflict
//	Get        1 for each 250 keys
//	List       1, in full or by cursor: a listing by cursor reads an index, and only the rows that changed
//
// A Put of which every row is a conflict writes nothing to the disk. A listing is held in memory and is of one instant.
//
// # What it does not survive
//
//   - Network file systems. The processes share memory beside the file, which hosts cannot: with NFS, SMB or a volume mounted on two hosts, two workers may
//     win one row, or the file be corrupted. SQLite cannot tell in every case, so neither can Setup. Containers of one host may share a volume of its own disk.
//   - A process that is stopped in the middle of a write, by a debugger, SIGSTOP or a frozen container, holds the lock: nobody else can write until it goes on or is killed.
//     Sessions expire meanwhile and their owners stop, so that nothing is handled twice; nothing is handled at all either. To kill it frees the lock at once.
//   - A file that is replaced, moved or deleted while workers run: they go on with the old one and new ones begin with another, each believing to be alone. A backup that is
//     put back forgets epochs and positions in the same way. Stop all workers first, and let none of the old come back.
//   - A copy made with cp while workers run is not whole: use VACUUM INTO, or the shell's .backup. VACUUM keeps writers waiting until it is done, and is seldom of use here.
//   - Two libraries of SQLite in one process, say two drivers, or a program that opens and closes the file by itself: it drops the locks of the other. Use one driver for one file.
//
// # Errors
//
// SQLite's result codes are read from the errors of modernc.org/sqlite, github.com/mattn/go-sqlite3 and github.com/ncruces/go-sqlite3. With a driver that has them in another way
// a lock is an error at once, and a database that cannot be written is not called denied. An error of a Put or Delete that is no [lease.ErrConflict] says that nothing of the
// transaction was stored, or that the answer of its COMMIT was lost: read the rows to know. If the database refuses one row, as by a constraint that somebody added, each row is written
// in a transaction of its own.
package sqllease
