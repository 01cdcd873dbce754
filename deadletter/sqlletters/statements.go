package sqlletters

// statements are all that write, and those that read what a write depends on. ?1 is a scope and ?2 the place of a key in each.
//
// There is a row of a key as long as it has letters or is claimed. Whoever writes letters of a key, or changes the row, has the row to himself until his transaction ends: so letters of one
// key are numbered in the order of their commits, and of an append and the settling of the last letter one sees what the other did.
type statements struct {
	make, hold, state            string // the row of a key: made and locked, locked if it is there, read
	park, unpark                 string // each if it is so
	claim, release, forget       string
	insert, discard, told, write string // a letter
}

func statementsOf(e engine, n names) statements {
	letters, keys := e.Where(n.letters), e.Where(n.keys)
	const key = ` WHERE scope = ?1 AND place = ?2`
	const letter = key + ` AND id = ?3`
	pending := `EXISTS (SELECT 1 FROM ` + letters + key + `)`
	return statements{
		make: e.Query(`INSERT INTO ` + keys + ` (scope, place, key, parked, token, until) VALUES (?1, ?2, ?3, 0, '', 0)
  ON CONFLICT (scope, place) DO UPDATE SET key = excluded.key`),
		hold:    e.Query(`SELECT parked FROM ` + keys + key + `{lock}`),
		state:   e.Query(`SELECT parked, token, until > {now} FROM ` + keys + key),
		park:    e.Query(`UPDATE ` + keys + ` SET parked = {now}` + key + ` AND parked = 0 AND ` + pending),
		unpark:  e.Query(`UPDATE ` + keys + ` SET parked = 0` + key + ` AND parked <> 0 AND NOT ` + pending),
		claim:   e.Query(`UPDATE ` + keys + ` SET token = ?3, until = {now} + ?4` + key),
		release: e.Query(`UPDATE ` + keys + ` SET token = '', until = 0` + key),
		forget:  e.Query(`DELETE FROM ` + keys + key + ` AND until <= {now} AND NOT ` + pending),
		insert: e.Query(`INSERT INTO ` + letters + ` (scope, place, id, letter, history, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
  ON CONFLICT (id) DO NOTHING`),
		discard: e.Query(`DELETE FROM ` + letters + letter),
		told:    e.Query(`SELECT history FROM ` + letters + letter),
		write:   e.Query(`UPDATE ` + letters + ` SET history = ?4` + letter),
	}
}
