package sqldedup

import "strings"

// statements are all of a sink. Of those of a shard ?1 is the scope and ?2 the shard.
//
// The row of a seal has the fence alone. Who writes marks shares it, so that lanes go on side by side, and who seals has it to himself: it waits for them, and they for it. Before the row there is a gate, a lock
// of the same kind, for rows have no queue: who shares one with others gets it also while somebody waits to have it alone, who would wait as long as lanes go on.
//
// What moves with the work is among the rows of done: those of lanes, and low, the row of a lane of its own. They are written on the condition that they rise.
type statements struct {
	hold, look, seal, clear statement // for Seal: the row made and had alone, what hangs on it, what it becomes
	share, read             statement // the seal, low and lanes: with the seal shared, or as they are
	pass                    statement // low and lanes rise
	now                     statement // low, locked
	claim                   statement // share and pass in one, where that can be: what it reads is as it was before
	drop                    statement // marks of lanes at low or below
	bury, void              statement // the dead: noted, and removed if they are of older generations
	rests, raise            statement // one of them: locked, and removed

	begin statement // what a transaction begins with that reads nothing

	entries, note, revive, reap statement // of PerID
}

func statementsOf(e engine, n names) statements {
	seals, done, dead, ids := e.Where(n.seals), e.Where(n.done), e.Where(n.dead), e.Where(n.ids)
	const shard = ` WHERE scope = ?1 AND shard = ?2`
	standing := `SELECT {entry}, s.epoch, s.generation, s.session, d.lane, d.position, d.epoch
  FROM {through}` + seals + ` AS s CROSS JOIN {rows}` + e.lookup(done, "d.scope = ?1 AND d.shard = ?2 AND d.lane = v.lane") + ` WHERE s.scope = ?1 AND s.shard = ?2`
	lane := column{"lane", someBytes}
	sort, position := column{"sort", aText}, column{"position", aText}
	return statements{
		hold: e.query(`{gate alone}INSERT INTO ` + seals + ` AS s (scope, shard, epoch, generation, session) SELECT {bytes ?1}, {bytes ?2}, 0, 0, '' FROM {through}(SELECT 1 AS one) AS o WHERE true
  ON CONFLICT (scope, shard) DO UPDATE SET epoch = s.epoch RETURNING {entry}, epoch, generation, session`),
		look: e.query(`SELECT coalesce((SELECT position FROM ` + done + shard + ` AND lane = ?3), ''),
    EXISTS (SELECT 1 FROM ` + done + shard + ` AND lane <> ?3 AND sort > (SELECT sort FROM ` + done + shard + ` AND lane = ?3)),
    EXISTS (SELECT 1 FROM ` + dead + shard + ` AND generation < ?4)`),
		seal:  e.query(`UPDATE ` + seals + ` SET epoch = ?3, generation = ?4, session = ?5` + shard),
		clear: e.query(`DELETE FROM ` + done + shard),
		share: e.query(`{gate shared}`+standing+`{share s}`, lane),
		read:  e.query(strings.Replace(standing, "{through}", "", 1), lane),
		pass: e.query(`INSERT INTO `+done+` AS d (scope, shard, lane, sort, position, epoch) SELECT {bytes ?1}, {bytes ?2}, v.lane, v.sort, v.position, {number ?3} FROM {rows} WHERE true
  ON CONFLICT (scope, shard, lane) DO UPDATE SET sort = excluded.sort, position = excluded.position, epoch = excluded.epoch WHERE d.sort < excluded.sort`, lane, sort, position),
		now: e.query(`SELECT position FROM ` + done + shard + ` AND lane = ?3{lock}`),
		claim: e.query(`{gate shared}, r AS (SELECT v.lane, v.sort, v.position FROM {rows}),
  s AS (SELECT {entry} AS entered, s.epoch, s.generation, s.session FROM {through}`+seals+` AS s WHERE s.scope = ?1 AND s.shard = ?2{share s}),
  p AS (INSERT INTO `+done+` AS d (scope, shard, lane, sort, position, epoch) SELECT {bytes ?1}, {bytes ?2}, r.lane, r.sort, r.position, {number ?3} FROM s CROSS JOIN r
    WHERE s.epoch = {number ?3} AND s.generation = {number ?4} AND s.session = ?5 AND r.sort > coalesce((SELECT sort FROM `+done+shard+` AND lane = ?6), '')
    ON CONFLICT (scope, shard, lane) DO UPDATE SET sort = excluded.sort, position = excluded.position, epoch = excluded.epoch WHERE d.sort < excluded.sort RETURNING 1)
  SELECT s.entered, s.epoch, s.generation, s.session, d.lane, d.position, d.epoch, (SELECT count(*) FROM p)
  FROM s CROSS JOIN (SELECT lane FROM r UNION ALL SELECT {bytes ?6}) AS v`+e.lookup(done, "d.scope = ?1 AND d.shard = ?2 AND d.lane = v.lane"), lane, sort, position),
		drop: e.query(`DELETE FROM ` + done + shard + ` AND lane {in}SELECT lane FROM ` + done + shard + ` AND lane <> ?3 AND sort <= ?4{skip}{ni}`),
		bury: e.query(`INSERT INTO `+dead+` (scope, shard, sort, generation, position) SELECT {bytes ?1}, {bytes ?2}, v.sort, {number ?3}, v.position FROM {rows} WHERE true
  ON CONFLICT (scope, shard, sort, generation) DO NOTHING`, sort, position),
		void:  e.query(`DELETE FROM `+dead+shard+` AND generation < ?3 AND sort {any}`, sort),
		rests: e.query(`SELECT position FROM ` + dead + shard + ` AND sort = ?3 AND generation = ?4{lock}`),
		raise: e.query(`DELETE FROM ` + dead + shard + ` AND sort = ?3 AND generation = ?4`),

		begin: e.query(`SELECT {entry}`),

		entries: e.query(`SELECT {entry}, e.id, e.generation, e.dead FROM (SELECT 1 AS one) AS o LEFT JOIN `+ids+` AS e ON e.id {any}`, column{"id", someBytes}),
		note: e.query(`INSERT INTO `+ids+` AS e (id, generation, dead, at) SELECT v.id, v.generation, {number ?1}, {now} FROM {rows} WHERE true
  ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, dead = excluded.dead, at = excluded.at WHERE e.generation < excluded.generation`, column{"id", someBytes}, column{"generation", aNumber}),
		revive: e.query(`UPDATE ` + ids + ` SET dead = 0 WHERE id = ?1 AND generation = ?2 AND dead <> 0`),
		reap:   e.query(`DELETE FROM ` + ids + ` WHERE id {in}SELECT id FROM ` + ids + ` WHERE at < {now} - ?1 AND dead = 0 ORDER BY at LIMIT ?2{skip}{ni}`),
	}
}
