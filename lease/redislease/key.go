package redislease

import (
	"errors"
	"strings"
)

const defaultPrefix = "runnel:"

// place is a row's key, taken apart.
type place struct {
	app   string // all up to the first slash: what the rows of one application have in common
	group string // all up to and including the last slash
	name  string
}

// split takes a key apart, and refuses one that has no place.
func split(key string) (place, error) {
	i := strings.LastIndexByte(key, '/') + 1
	p := place{group: key[:i], name: key[i:]}
	if p.group == "" || p.name == "" {
		return place{}, errors.New("a key is a group that ends in a slash, and a name")
	}
	p.app, _, _ = strings.Cut(p.group, "/")
	if p.app == "" || strings.ContainsAny(p.app, "{}") {
		return place{}, errors.New("a key begins with the name of an application, which has no braces: they are what chooses the slot")
	}
	return p, nil
}

// The keys of Redis. The name of the application is in braces: by it a cluster chooses the slot, so that a script may touch all of its rows. The first key of a
// group ends in a slash and the others do not, so none is taken for another.

func (s *Store) tag(app string) string { return s.cfg.Prefix + "{" + app + "}" }

// counterKey is that of the last cursor that was stamped.
func (s *Store) counterKey(app string) string { return s.tag(app) + "/cursor" }

// groupKeys are those of a group's rows and of its changes.
func (s *Store) groupKeys(p place) (rows, changes string) {
	rows = s.tag(p.app) + strings.TrimPrefix(p.group, p.app)
	return rows, rows + "changes"
}
