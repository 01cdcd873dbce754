package sqldedup

import "github.com/runnelhq/runnel/internal/sqldialect"

// names are those of a sink's tables and of its index.
type names struct{ seals, done, dead, ids, old string }

func namesOf(table string) names {
	return names{seals: table + "_seals", done: table + "_done", dead: table + "_dead", ids: table + "_ids", old: table + "_ids_at"}
}

func (e sqlite) schema(n names) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.seals) + ` (
  scope      BLOB    NOT NULL,
  shard      BLOB    NOT NULL,
  epoch      INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  session    TEXT    NOT NULL,
  PRIMARY KEY (scope, shard)
) STRICT`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.done) + ` (
  scope    BLOB    NOT NULL,
  shard    BLOB    NOT NULL,
  lane     BLOB    NOT NULL,
  sort     TEXT    NOT NULL,
  position TEXT    NOT NULL,
  epoch    INTEGER NOT NULL,
  PRIMARY KEY (scope, shard, lane)
) STRICT`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.dead) + ` (
  scope      BLOB    NOT NULL,
  shard      BLOB    NOT NULL,
  sort       TEXT    NOT NULL,
  generation INTEGER NOT NULL,
  position   TEXT    NOT NULL,
  PRIMARY KEY (scope, shard, sort, generation)
) STRICT`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.ids) + ` (
  id         BLOB    NOT NULL,
  generation INTEGER NOT NULL,
  dead       INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (id)
) STRICT`,
		`CREATE INDEX IF NOT EXISTS ` + e.Where(n.old) + ` ON ` + sqldialect.Quote(n.ids) + ` (at)`,
	}
}

func (sqlite) layout(n names) []sqldialect.Table {
	return []sqldialect.Table{
		{
			Name:    n.seals,
			Columns: map[string]string{"scope": "BLOB", "shard": "BLOB", "epoch": "INTEGER", "generation": "INTEGER", "session": "TEXT"},
			Key:     "scope BINARY, shard BINARY",
		},
		{
			Name:    n.done,
			Columns: map[string]string{"scope": "BLOB", "shard": "BLOB", "lane": "BLOB", "sort": "TEXT", "position": "TEXT", "epoch": "INTEGER"},
			Key:     "scope BINARY, shard BINARY, lane BINARY",
		},
		{
			Name:    n.dead,
			Columns: map[string]string{"scope": "BLOB", "shard": "BLOB", "sort": "TEXT", "generation": "INTEGER", "position": "TEXT"},
			Key:     "scope BINARY, shard BINARY, sort BINARY, generation BINARY",
		},
		{
			Name:    n.ids,
			Columns: map[string]string{"id": "BLOB", "generation": "INTEGER", "dead": "INTEGER", "at": "INTEGER"},
			Key:     "id BINARY",
			Indexes: []sqldialect.Index{{Name: n.old, Columns: "at BINARY"}},
		},
	}
}

// schema has positions compared as bytes, in whatever language the database sorts.
func (e postgres) schema(n names) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.seals) + ` (
  scope      bytea NOT NULL,
  shard      bytea NOT NULL,
  epoch      bigint NOT NULL,
  generation bigint NOT NULL,
  session    text NOT NULL,
  PRIMARY KEY (scope, shard)
)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.done) + ` (
  scope    bytea NOT NULL,
  shard    bytea NOT NULL,
  lane     bytea NOT NULL,
  sort     text COLLATE "C" NOT NULL,
  position text NOT NULL,
  epoch    bigint NOT NULL,
  PRIMARY KEY (scope, shard, lane)
)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.dead) + ` (
  scope      bytea NOT NULL,
  shard      bytea NOT NULL,
  sort       text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  position   text NOT NULL,
  PRIMARY KEY (scope, shard, sort, generation)
)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.ids) + ` (
  id         bytea NOT NULL,
  generation bigint NOT NULL,
  dead       bigint NOT NULL,
  at         bigint NOT NULL,
  PRIMARY KEY (id)
)`,
		`CREATE INDEX IF NOT EXISTS ` + sqldialect.Quote(n.old) + ` ON ` + e.Where(n.ids) + ` (at)`,
	}
}

func (postgres) layout(n names) []sqldialect.Table {
	return []sqldialect.Table{
		{
			Name:    n.seals,
			Columns: map[string]string{"scope": "bytea", "shard": "bytea", "epoch": "bigint", "generation": "bigint", "session": "text"},
			Key:     "scope, shard",
		},
		{
			Name:    n.done,
			Columns: map[string]string{"scope": "bytea", "shard": "bytea", "lane": "bytea", "sort": `text COLLATE "C"`, "position": "text", "epoch": "bigint"},
			Key:     "scope, shard, lane",
		},
		{
			Name:    n.dead,
			Columns: map[string]string{"scope": "bytea", "shard": "bytea", "sort": `text COLLATE "C"`, "generation": "bigint", "position": "text"},
			Key:     "scope, shard, sort, generation",
		},
		{
			Name:    n.ids,
			Columns: map[string]string{"id": "bytea", "generation": "bigint", "dead": "bigint", "at": "bigint"},
			Key:     "id",
			Indexes: []sqldialect.Index{{Name: n.old, Columns: "at"}},
		},
	}
}
