// Package sqllease keeps leases in a table of an SQL database: PostgreSQL, or SQLite for workers that share one host.
//
// The database is the caller's *sql.DB, with any driver: the package imports none. [Config].Dialect says what it is. A Put or Delete of any number of rows is one transaction, which
// compares the version of each row. Of two workers that write the same version, in one process or in several, one wins; and a process that is killed in the middle leaves nothing half.
//
//	db, err := sql.Open("pgx", "postgres://orders@db.example.com/orders?target_session_attrs=read-write") // import _ "github.com/jackc/pgx/v5/stdlib"
//	leases := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL})
//
//	db, err := sql.Open("sqlite", "file:/var/lib/orders/leases.db") // import _ "modernc.org/sqlite"
//	leases := sqllease.New(db, nil)
//
// What holds for both comes first, then what is each one's own.
//
// # Rows and cursors
//
// Cursors are counted in a row of a second table, by the transaction that stamps them, which keeps that row to itself until it has ended. So the order of cursors is the order of
// commits, and a listing by cursor misses nothing; a sequence would give a lower number to what is committed later. The price is that writes which others are to hear of – a take,
// a release, a new row – follow each other, a commit apart. Heartbeats and checkpoints keep their cursors and do not touch that row.
//
// Columns of your own are left alone if an INSERT need not name them. A row that somebody broke is a row with an error that wraps [lease.ErrRow], and its shard is left alone:
// correct it, with a version higher than any that it had. To delete it is to forget a position and an epoch.
//
// # Errors
//
// An error of a Put or Delete that is no [lease.ErrConflict] says that nothing of the transaction was stored, or that the answer of its COMMIT was lost: read the rows to know. If the
// database refuses one row, as by a constraint that somebody added, each row is written in a transaction of its own. What others cause – a lock, a deadlock – is tried again with back-off
// and jitter until ctx ends; the error says so then.
//
// # PostgreSQL
//
// PostgreSQL 13 or later, tested with 15, in a database of ENCODING 'UTF8', and its primary. [Store.Setup] makes the tables if they are missing. To migrate elsewhere, execute
// [Store.Schema] and set [Config].MustExist:
//
//	CREATE TABLE public.runnel_leases (
//	  grp     text COLLATE "C" NOT NULL, -- the group: the row's key up to and including its last slash
//	  name    text COLLATE "C" NOT NULL, -- the rest of the key
//	  version bigint NOT NULL,           -- from 1; each write adds 1
//	  cursor  bigint NOT NULL,           -- the last change of which others hear, counted
//	  value   text NOT NULL,             -- JSON text
//	  PRIMARY KEY (grp, name)
//	);
//	CREATE INDEX runnel_leases_changes ON public.runnel_leases (grp, cursor);
//	CREATE TABLE public.runnel_leases_cursor (id integer NOT NULL PRIMARY KEY, last bigint NOT NULL); -- one row, of id 1: the last cursor
//
// The table is in the schema public, or in that of Config.Table ("leases.orders"), which must exist: never where the search_path says, which may differ from role to role, and with
// it who owns a shard. Names are quoted as they are given. Keys are compared as bytes, whatever the language of the database. Setup needs CREATE on the schema if it is to make the tables, and
// where they exist, the role of the workers needs this, which Setup checks:
//
//	GRANT USAGE ON SCHEMA public TO orders;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON runnel_leases TO orders;
//	GRANT SELECT, UPDATE ON runnel_leases_cursor TO orders;
//
// A table that is UNLOGGED, partitioned or has row security for the role is refused. An operator reads it with psql:
//
//	SELECT name, value::json ->> 'owner', value::json ->> 'position' FROM runnel_leases WHERE grp LIKE 'orders-index/S/%';
//
// A write is BEGIN ISOLATION LEVEL READ COMMITTED … COMMIT on one connection of the pool, whatever default_transaction_isolation is. Where synchronous_commit is less than on – off, local or
// remote_write – it is raised for the transaction: an acknowledged write that is lost is an epoch that is handed out twice. The rows are locked in the order of their keys, so that writers
// of many rows do not wait for each other in a circle, and compared again by the statements that write them. A read is one statement.
//
// A transaction whose worker says nothing for five seconds – its host lost its power, it was stopped by a debugger – is ended by the server (idle_in_transaction_session_timeout, set for
// the transaction), and its rows are free again. Writes to other rows do not wait for it, but for those that are listed, which need the counter too.
//
// Only the primary is asked: a standby, or a server, database or role that is set to read only (default_transaction_read_only), is an error of every call, and never a conflict. Each read
// asks for that in the same statement, so that a pool which reaches both gives no stale answer. The error wraps neither [lease.ErrDenied] nor [lease.ErrTable], for a fail-over ends.
//
// The pool needs two connections or more to have heartbeats pass a write that waits for a row. After a fail-over or a restart connections are replaced: a write that the server ended before
// COMMIT is tried again. Give the driver a connect_timeout below [lease.Timing].Request, and all hosts with target_session_attrs=read-write. No state of a session is relied on, so that PgBouncer may pool by
// transaction; what a driver prepares needs its max_prepared_statements (1.21 or later), or a driver that prepares nothing: default_query_exec_mode=exec for pgx. Pooling by
// statement cannot work. A statement_timeout or lock_timeout is respected, and best left to ctx: with synchronous replication it ends the wait for the standby, and the server then
// acknowledges what the standby does not have.
//
// In statements, each a round trip:
//
//	Put        3 for one row that keeps its cursor, as a heartbeat or a checkpoint; 4 for several
//	           5 if any row is new or gets a new cursor; 6 if there are new rows and known ones
//	           1 more if a row was written or deleted by another in the same instant, or is a conflict that was alone and kept its cursor
//	Delete     3 for one row, 4 for several
//	Get        1 for each 10,000 keys
//	List       1, in full or by cursor: a listing by cursor reads an index, and only the rows that changed
//
// A Put of which every row is a conflict commits nothing. A listing is held in memory and is of one instant.
//
// What it does not survive:
//
//   - A fail-over to a standby that is behind. With asynchronous replication it may forget what was acknowledged: one worker took epoch 1, the new primary never heard of it, and
//     another takes epoch 1; a position may go back. Both may handle records until the first sees that its session is gone. Use synchronous replication
//     (synchronous_standby_names) where that must not be; it makes every write wait for the standby. A backup that is put back forgets in the same way: stop all workers first.
//   - Two primaries at once, as when an old one was not shut off: workers that reach different ones each believe to be alone.
//   - fsync = off or full_page_writes = off at the loss of power, and disks that lie about what they hold.
//   - A transaction that somebody leaves open for hours in the same database keeps the dead versions of rows that are written often: heartbeats become slow until it ends. Long
//     reports belong on a standby without hot_standby_feedback. Autovacuum does the rest; a heartbeat changes no index.
//   - Databases that only speak its protocol are not supported: Setup refuses those that say so in version().
//
// SQLSTATE is read from a method of the driver's errors, SQLState, as those of github.com/jackc/pgx and github.com/lib/pq have: with a driver that has none a deadlock is an error at once,
// and a role without privileges is not called denied. A BEGIN is sent with two settings in one text without parameters, which these drivers do not prepare.
//
// # SQLite
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
// In statements. A commit waits for the disk once, whatever the number of rows.
//
//	Put        3, and 1 a row; 1 more if any row is new or gets a new cursor, 1 more for a row that is a conflict
//	Delete     3, and 1 a row; 1 more for a row that is a conflict
//	Get        1 for each 250 keys
//	List       1, in full or by cursor: a listing by cursor reads an index, and only the rows that changed
//
// A Put of which every row is a conflict writes nothing to the disk. A listing is held in memory and is of one instant.
//
// What it does not survive:
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
// SQLite's result codes are read from the errors of modernc.org/sqlite, github.com/mattn/go-sqlite3 and github.com/ncruces/go-sqlite3. With a driver that has them in another way
// a lock is an error at once, and a database that cannot be written is not called denied.
package sqllease
