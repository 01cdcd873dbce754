package sqlletters

// names are those of a store's tables and of their indexes.
type names struct{ letters, keys, ids, order string }

func namesOf(table string) names {
	return names{letters: table, keys: table + "_keys", ids: table + "_id", order: table + "_order"}
}
