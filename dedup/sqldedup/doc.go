// Package sqldedup has the effects of records stand once in an SQL database: PostgreSQL, or SQLite for workers that share one host.
//
// A [Sink] keeps marks in four tables beside the user's own, and commits effects and marks in one transaction. The database is the caller's *sql.DB, with any driver: the package imports none.
// [Config].Dialect says what it is.
//
//	db, err := sql.Open("pgx", "postgres://billing@db.example.com/billing?target_session_attrs=read-write") // import _ "github.com/jackc/pgx/v5/stdlib"
//	marks := sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL})
//
//	db, err := sql.Open("sqlite", "file:/var/lib/billing/billing.db") // import _ "modernc.org/sqlite"
//	marks := sqldedup.New(db, nil)
//
//	cfg.Handler = consumer.Once(marks, func(ctx context.Context, tx *sql.Tx, fresh []consumer.Record) error {
//		for _, r := range fresh {
//			if _, err := tx.ExecContext(ctx, `UPDATE accounts SET balance = balance + 1 WHERE id = $1`, r.Key); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// # The function and its transaction
//
// What the function does on tx is kept with the marks, or not at all. What it does elsewhere, also on the same database but not on tx, is not undone and may be done again: the function is
// called once more after a deadlock, a serialization failure, a lock that was not given in time, or a connection that the server ended before COMMIT.
//
// It must neither commit nor roll back tx, by methods or by statements, nor use another method of the sink. Savepoints are its own. The error says [ErrEnded] if it ended tx: rolled back, it is in a
// [*dedup.RolledBackError]; committed, the effects until then are kept with the marks, and the error wraps [dedup.ErrUnsettled], so that the next call finds them.
//
// A record is blamed, with a [*dedup.RolledBackError], for what the function returns and for what the database says of the effects, at COMMIT too, as of a deferred constraint. A database that
// is away, full, read only or refuses the role is [dedup.ErrUnavailable], also where the function met that, and so is a ctx that is cancelled meanwhile. One whose deadline passes while the function is at work is its fault.
//
// A function that leaves tx without a statement for longer than [Config].Idle finds the transaction ended by the server. So a worker that is stopped in the middle, or whose host has lost its power or its
// network, holds up who follows it no longer than that. SQLite has no such limit.
//
// # COMMIT without an answer
//
// Where the answer of COMMIT is lost, the same marks are written once more on another connection and rolled back: that waits for a transaction which is still in doubt, and changes nothing after one that was
// done. It is tried until ctx ends. If another has sealed the shard meanwhile, the answer is [dedup.ErrFenced], whatever happened.
//
// # PostgreSQL
//
// PostgreSQL 13 or later, tested with 15, in a database of ENCODING 'UTF8', and its primary. [Sink.Setup] makes the tables if they are missing; a consumer calls it when it runs. To migrate elsewhere execute
// [Sink.Schema] and set [Config].MustExist:
//
//	CREATE TABLE public.runnel_marks_seals (
//	  scope      bytea NOT NULL,           -- the application and the stream's incarnation, with a space between
//	  shard      bytea NOT NULL,
//	  epoch      bigint NOT NULL,
//	  generation bigint NOT NULL,
//	  session    text NOT NULL,
//	  PRIMARY KEY (scope, shard)
//	);
//	CREATE TABLE public.runnel_marks_done (
//	  scope    bytea NOT NULL,
//	  shard    bytea NOT NULL,
//	  lane     bytea NOT NULL,             -- s: low, of the shard; k and a key; p and the position of a record without one
//	  sort     text COLLATE "C" NOT NULL,  -- the position as it orders
//	  position text NOT NULL,              -- the position as the service wrote it
//	  epoch    bigint NOT NULL,            -- in which it was written
//	  PRIMARY KEY (scope, shard, lane)
//	);
//	CREATE TABLE public.runnel_marks_dead (
//	  scope      bytea NOT NULL,
//	  shard      bytea NOT NULL,
//	  sort       text COLLATE "C" NOT NULL,
//	  generation bigint NOT NULL,
//	  position   text NOT NULL,
//	  PRIMARY KEY (scope, shard, sort, generation)
//	);
//	CREATE TABLE public.runnel_marks_ids ( -- of records in no order
//	  id         bytea NOT NULL,           -- as dedup.Mark.ID, in generation 0
//	  generation bigint NOT NULL,
//	  dead       bigint NOT NULL,          -- 1: it was given up
//	  at         bigint NOT NULL,          -- when it was written, in microseconds since 1970
//	  PRIMARY KEY (id)
//	);
//	CREATE INDEX runnel_marks_ids_at ON public.runnel_marks_ids (at);
//
// Names may be any bytes; above 512 of them they are cut and have a digest. The role of the workers needs this, which Setup checks, and CREATE on the schema if Setup is to make the tables:
//
//	GRANT USAGE ON SCHEMA public TO billing;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON runnel_marks_seals, runnel_marks_done, runnel_marks_dead, runnel_marks_ids TO billing;
//
// An operator sees how far shards are applied:
//
//	SELECT convert_from(scope, 'UTF8'), convert_from(shard, 'UTF8'), position FROM runnel_marks_done WHERE lane = 's';
//
// A transaction is one of READ COMMITTED, whatever the role is set to, and synchronous_commit is raised for it where it is off, local or remote_write: the sink must hold what it has
// acknowledged. Who applies has a share of the seal's row, so that the lanes of a shard go on side by side, and who seals has it alone. Each lane takes a connection of the pool while it is applied.
//
// In statements, each a round trip to PostgreSQL, beside the two that begin and end a transaction:
//
//	Apply      2, and 3 with PerID; 1 more with a TTL, or where the sink holds dead records of an older generation; 5 for a redrive
//	Bury       2; 1 more as with Apply
//	Advance    3
//	Seal       3; 5 for a first seal, or one of a newer generation
//
// What package [github.com/runnelhq/runnel/lease/sqllease] says of drivers, pools, poolers, durability and fail-over holds here too. A fail-over that forgets acknowledged commits forgets effects with their
// marks: who seals then resumes where the sink stands, but a worker that goes on over the fail-over does not know. Use synchronous replication where that must not be.
//
// # SQLite
//
// SQLite 3.37 or later, in a file on a local disk, in WAL mode, which Setup turns on unless [Config].MustExist; the tables have BLOB for bytea, INTEGER for bigint, and are STRICT.
//
// SQLite has one writer at a time. A transaction has the lock for writing before it reads anything, whatever the driver's _txlock is, and one that is held by others is waited for until ctx ends. So
// calls follow each other, also those of lanes, and a function that writes to the database by other means than tx waits for itself. A process that is stopped in the middle of a write locks the file for everybody until it
// goes on or is killed; there is no limit that would end it.
package sqldedup
