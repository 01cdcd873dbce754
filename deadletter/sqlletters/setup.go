package sqlletters

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
)

// names are those of a store's tables and of their indexes.
type names struct{ letters, keys, ids, order string }

func namesOf(table string) names {
	return names{letters: table, keys: table + "_keys", ids: table + "_id", order: table + "_order"}
}

// layout is what a store's tables are to look like.
type layout struct {
	names names

	letters, keys     map[string]string // types of columns
	ofLetters, ofKeys string            // columns of the primary keys, where they are indexes
	ids, order        string            // columns of the indexes of letters
}

// setup makes what is missing unless mustExist, and checks all.
func (s *Store) setup(ctx context.Context, conn *sql.Conn) error {
	if err := s.engine.Usable(ctx, conn, s.cfg.MustExist); err != nil {
		return err
	}
	want := s.engine.layout(s.names)
	look := func(name string) (sqldialect.Shape, error) { return s.engine.Look(ctx, conn, name) }
	return s.engine.Transact(ctx, conn, func() (keep bool, err error) {
		if err := s.engine.alone(ctx, conn, s.names); err != nil {
			return false, err
		}
		missing, err := want.missing(look)
		switch {
		case err != nil:
			return false, err
		case missing == "":
			return false, s.engine.permitted(ctx, conn, s.names)
		case s.cfg.MustExist:
			return false, fmt.Errorf("%s does not exist, and Config.MustExist forbids to make it: make it as Store.Schema says, or unset MustExist", missing)
		}
		for _, statement := range s.engine.schema(s.names) {
			if err := sqldialect.Execute(ctx, conn, statement); err != nil {
				return false, err
			}
		}
		if missing, err = want.missing(look); err == nil && missing != "" {
			err = fmt.Errorf("%w: %s cannot be made, for its name is taken: use another Config.Table", ErrTable, missing)
		}
		if err != nil {
			return false, err
		}
		return true, s.engine.permitted(ctx, conn, s.names)
	})
}

// missing names the first of the tables and indexes that is not there, or is "". The error is about one that is there and has another shape.
func (l layout) missing(look func(name string) (sqldialect.Shape, error)) (string, error) {
	letters, err := look(l.names.letters)
	if err != nil {
		return "", err
	}
	keys, err := look(l.names.keys)
	if err != nil {
		return "", err
	}
	faults := append(letters.Differences(l.letters), keys.Differences(l.keys)...)
	for _, table := range []struct {
		sqldialect.Shape
		key string
	}{{letters, l.ofLetters}, {keys, l.ofKeys}} {
		if table.Kind == sqldialect.ATable && table.Key != table.key {
			faults = append(faults, fmt.Sprintf("the primary key of %q is (%s); want (%s)", table.Name, table.Key, table.key))
		}
		for _, name := range slices.Sorted(maps.Keys(table.Unique)) {
			if !strings.EqualFold(name, l.names.ids) {
				faults = append(faults, fmt.Sprintf("index %q of %q wants (%s) unique", name, table.Name, table.Unique[name]))
			}
		}
	}
	ids := letters.Unique[strings.ToLower(l.names.ids)]
	if ids == "" {
		ids = letters.Unique[l.names.ids]
	}
	order := letters.Index(l.names.order)
	for _, index := range []struct{ name, is, want string }{{l.names.ids, ids, l.ids}, {l.names.order, order, l.order}} {
		if index.is != "" && index.is != index.want {
			faults = append(faults, fmt.Sprintf("index %q is on (%s); want (%s)", index.name, index.is, index.want))
		}
	}
	switch {
	case faults != nil:
		return "", fmt.Errorf("%w: %s: it is no table of letters: use another Config.Table", ErrTable, strings.Join(faults, "; "))
	case letters.Kind == "":
		return fmt.Sprintf("table %q", l.names.letters), nil
	case ids == "":
		return fmt.Sprintf("the unique index %q", l.names.ids), nil
	case order == "":
		return fmt.Sprintf("index %q", l.names.order), nil
	case keys.Kind == "":
		return fmt.Sprintf("table %q", l.names.keys), nil
	}
	return "", nil
}
