package ddbdedup

import (
	"maps"
	"strconv"
	"strings"
)

// expression is a condition with what it names.
type expression struct {
	condition string
	names     map[string]string
	values    item
}

// placeholders are names for attributes and values that an expression does not use.
type placeholders string

func (p placeholders) name(s string) string  { return "#" + string(p) + s }
func (p placeholders) value(s string) string { return ":" + string(p) + s }

// placeholders begin unlike any that e has.
func (e expression) placeholders() placeholders {
	for n := 0; ; n++ {
		p := placeholders("runnel")
		if n > 0 {
			p += placeholders(strconv.Itoa(n) + "_")
		}
		taken := false
		for name := range e.names {
			taken = taken || strings.HasPrefix(name, p.name(""))
		}
		for value := range e.values {
			taken = taken || strings.HasPrefix(value, p.value(""))
		}
		if !taken {
			return p
		}
	}
}

// clone may be added to: its maps are its own.
func (e expression) clone() expression {
	c := expression{e.condition, make(map[string]string), make(item)}
	maps.Copy(c.names, e.names)
	maps.Copy(c.values, e.values)
	return c
}

// and is e with a name for an attribute, for a condition that is to hold beside.
func (e expression) and(p placeholders, attribute string) expression {
	c := e.clone()
	c.names[p.name("")] = attribute
	return c
}

// beside has a further condition hold.
func (e expression) beside(condition string) expression {
	if e.condition != "" {
		condition = "(" + e.condition + ") AND (" + condition + ")"
	}
	e.condition = condition
	return e
}

// admits is e for items that [itemMark.admit] a record that is not redriven.
func (e expression) admits(p placeholders, m itemMark) expression {
	field := func(name string) string { return p.name("") + "." + name }
	e.values[p.value("s")], e.values[p.value("l")] = text(escape(m.Shard)), text(m.Sort)
	e.values[p.value("e")], e.values[p.value("w")], e.values[p.value("g")] = number(m.Epoch), text(m.Session), number(m.Generation)
	return e.beside(strings.NewReplacer(
		"MARK", p.name(""), "SHARD", field(fieldShard), "EPOCH", field(fieldEpoch), "SESSION", field(fieldSession), "GENERATION", field(fieldGeneration), "SORT", field(fieldSort), ":", p.value(""),
	).Replace("attribute_not_exists(MARK) OR GENERATION < :g OR (GENERATION = :g AND " +
		"((SHARD = :s AND SORT < :l AND (EPOCH < :e OR (EPOCH = :e AND SESSION = :w))) OR (SHARD <> :s AND EPOCH < :e)))"))
}

// isExactly is e for items whose mark is m.
func (e expression) isExactly(p placeholders, m itemMark) expression {
	if !m.There {
		return e.beside("attribute_not_exists(" + p.name("") + ")")
	}
	e.values[p.value("was")] = m.value()
	return e.beside(p.name("") + " = " + p.value("was"))
}

// assign adds an assignment to an update expression: to its SET, or as one.
func assign(update, assignment string) string {
	const keyword = "SET"
	word := 0 // where the one at i begins
	for i := 0; i <= len(update); i++ {
		if i < len(update) && inWord(update[i]) {
			continue
		}
		if strings.EqualFold(update[word:i], keyword) {
			return update[:i] + " " + assignment + "," + update[i:]
		}
		word = i + 1
	}
	return strings.TrimSpace(keyword + " " + assignment + " " + update)
}

// inWord tells whether c goes on a word of an expression, a placeholder or a path.
func inWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.#:[]", c) >= 0
}
