package lease

import (
	"encoding/json"
	"fmt"
	"slices"
)

// field is one named value of a row: value points at it.
type field struct {
	name  string
	value any
}

// unknown are the fields of a row that this version does not know. They are kept when the row is rewritten, so that a newer version
// may run beside this one.
type unknown map[string]json.RawMessage

func decodeFields(row Row, fields []field) (unknown, error) {
	if row.Err != nil {
		return nil, row.Err
	}
	var all unknown
	if err := json.Unmarshal(row.Value, &all); err != nil {
		return nil, err
	}
	for _, f := range fields {
		raw, ok := all[f.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, f.value); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		delete(all, f.name)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// encodeFields writes JSON text with the fields in alphabetical order. It cannot fail for the values that rows have.
func encodeFields(fields []field, others unknown) []byte {
	all := make(map[string]any, len(fields)+len(others))
	for name, raw := range others {
		all[name] = raw
	}
	for _, f := range fields {
		all[f.name] = f.value
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("lease: a row of plain values does not encode: %v", err))
	}
	return text
}

// corrupt is the error about a row that cannot be read.
func corrupt(key string, err error) error {
	return fmt.Errorf("%w: %s: %w: it is left alone; repair it, or delete it if nothing in it is needed", ErrRow, key, err)
}

// union adds to a what it lacks of b, in the order of b. It leaves a as it is.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
