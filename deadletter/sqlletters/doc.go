// Package sqlletters keeps dead letters in two tables of an SQL database: PostgreSQL, or SQLite for workers that share one host.
//
// The database is the caller's *sql.DB, with any driver: the package imports none. [Config].Dialect says what it is, and [Store.Setup] makes the tables.
//
//	db, err := sql.Open("pgx", "postgres://billing@db.example.com/billing?target_session_attrs=read-write") // import _ "github.com/jackc/pgx/v5/stdlib"
//	letters := sqlletters.New(db, &sqlletters.Config{Dialect: sqlletters.PostgreSQL})
//
//	db, err := sql.Open("sqlite", "file:/var/lib/billing/letters.db") // import _ "modernc.org/sqlite"
//	letters := sqlletters.New(db, nil)
//
// A consumer calls Setup when its Run or Redrive begins; whoever uses a Store by itself calls it first.
//
// # What is one step
//
// Park, Claim and Settle are one transaction each, and Put is one for each 100 letters. A key has a row of its own for as long as it has letters or is claimed. (A redrive that dies
// after the last letter of a key leaves the row behind, which does no harm.) Whoever writes letters of the
// key, or changes the row, has the row to himself until his transaction ends. So an append and the settling of the last letter happen one after the other: the letter is appended and the
// key stays parked, or the key is free and the append fails with [deadletter.ErrNotParked]. Letters of one key are numbered in the order of their commits; numbers are given once
// and have gaps. Put locks its keys in one order, so that nobody waits in a circle.
//
// Claims are by one clock: PostgreSQL's server's, read once the row is held, or for SQLite the host's, which is read to the millisecond.
//
// # Errors
//
// What others cause – a lock, a deadlock, a server that ended the connection before COMMIT – is tried again with back-off and jitter until ctx ends. After any other error nothing of the
// transaction was stored, unless it says that this is not known, for the answer of COMMIT was lost. Then call again: Put, Park and Claim come to the same. A Settle that was done answers
// [deadletter.ErrNoLetter] when it is called again, which says as much as nil; with a failure, it adds that failure once more.
//
// # Reading
//
// Read and Parked ask for 100 letters or keys at a time, hold no connection between them, and may be left at any time. A page is of one instant, and two are not: a letter that is settled meanwhile is
// left out, and one that is stored meanwhile may come. Payloads up to 64 KiB come with their page and larger ones alone, so that at most 6.4 MiB and one large payload are in memory.
// Keys come in the order of their bytes. Of one above 512 bytes the first 481 and a digest stand for it in that order.
//
// # Tables
//
// Names may be any bytes, and what is searched for is in columns of bytes: scope, the application and the stream with a space between, as in [deadletter.Letter.ID]; place, the key; and id. Above
// 512 bytes they are cut and have a digest. The rest of a letter is JSON text for people, in which zero bytes, percent signs and what is no UTF-8 are percent-encoded.
//
//	SELECT seq, letter::json ->> 'key', letter::json ->> 'reason', letter::json -> 'errors' -> 0 FROM runnel_letters ORDER BY place, seq; -- SQLite: letter ->> 'key'
//	SELECT key, to_timestamp(parked / 1e6), to_timestamp(until / 1e6) FROM runnel_letters_keys WHERE parked > 0;                          -- SQLite: datetime(parked / 1000000, 'unixepoch')
//
// To remove letters by hand is to forget records. If they are the last of a key, remove its row in the table of keys in the same transaction, or it stays parked until a claim of it is given back.
//
// PostgreSQL 13 or later, tested with 15, in a database of ENCODING 'UTF8'. To migrate elsewhere execute [Store.Schema] and set [Config].MustExist:
//
//	CREATE TABLE public.runnel_letters (
//	  seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- deadletter.Letter.Seq
//	  scope   bytea NOT NULL,
//	  place   bytea NOT NULL,
//	  id      bytea NOT NULL,
//	  letter  text NOT NULL,                                   -- JSON: all but history and payload
//	  history text NOT NULL,                                   -- JSON: redrives that failed
//	  payload bytea NOT NULL
//	);
//	CREATE UNIQUE INDEX runnel_letters_id ON public.runnel_letters (id);
//	CREATE INDEX runnel_letters_order ON public.runnel_letters (scope, place, seq);
//	CREATE TABLE public.runnel_letters_keys (
//	  scope  bytea NOT NULL,
//	  place  bytea NOT NULL,
//	  key    text NOT NULL,
//	  parked bigint NOT NULL,                                  -- since when, in microseconds since 1970; 0: it is not
//	  token  text NOT NULL,                                    -- of the claim; '': none
//	  until  bigint NOT NULL,                                  -- when the claim ends, in microseconds since 1970
//	  PRIMARY KEY (scope, place)
//	);
//
// The role of the workers needs this, which Setup checks, and CREATE on the schema if Setup is to make the tables:
//
//	GRANT USAGE ON SCHEMA public TO billing;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON runnel_letters, runnel_letters_keys TO billing;
//
// SQLite 3.37 or later, in a file on a local disk, in WAL mode; the table of letters has seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, BLOB for bytea, INTEGER for bigint, and both are STRICT.
// Letters take a file of their own: a write of large payloads keeps every other writer of the file waiting, and heartbeats of leases must not wait.
//
// What package [github.com/runnelhq/runnel/lease/sqllease] says of drivers, pools, poolers, durability and fail-over holds here too: a commit is on the disk when it is acknowledged; only the
// primary is asked, for one that is behind may not know that a key is parked; and a fail-over that forgets acknowledged commits forgets letters whose records are checkpointed. Use
// synchronous replication where that must not be.
//
// In statements, each a round trip to PostgreSQL, beside the two that begin and end a transaction:
//
//	Put        1 a key and 1 a letter; 1 more for a letter that is there
//	Park       2 and 1 a letter; 1 more for a letter that is there
//	Claim      4, also to give it back
//	Settle     4
//	Read       1 for each 100 letters, and 1 for each payload above 64 KiB
//	Parked     1 for each 100 keys
package sqlletters
