package lease

import (
	"encoding"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one named value of a row: value points at it.
type field struct {
	name  string
	value any
}

// unknown are the fields of a row that this version does not know. They are kept when the row is rewritten, so that a newer version
// may run beside this one.
type unknown map[string]json.RawMessage

// decodeFields reads a row's value as encoding/json does, but looks at it twice and not four times: every worker reads the row of every session at each poll.
func decodeFields(row Row, fields []field) (unknown, error) {
	if row.Err != nil {
		return nil, row.Err
	}
	text := row.Value
	if !json.Valid(text) || text[skipSpace(text, 0)] != '{' {
		var all unknown
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, err // says what is wrong, and where
		}
		return nil, nil // null
	}
	var others unknown
	for at := skipSpace(text, 0) + 1; ; {
		at = skipSpace(text, at)
		if text[at] == '}' {
			return others, nil
		}
		if text[at] == ',' {
			at = skipSpace(text, at+1)
		}
		end := skipValue(text, at)
		name, err := textOf(text[at:end])
		if err != nil {
			return nil, err
		}
		at = skipSpace(text, skipSpace(text, end)+1) // behind the colon
		end = skipValue(text, at)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			if others == nil {
				others = make(unknown)
			}
			others[name] = slices.Clone(text[at:end])
		} else if err := fields[i].decode(text[at:end]); err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
		at = end
	}
}

// skipSpace is where the next character of valid JSON is that is no space.
func skipSpace(text []byte, at int) int {
	for text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r' {
		at++
	}
	return at
}

// skipValue is where the value of valid JSON ends that begins at.
func skipValue(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
			if depth == 0 {
				return at + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at // of a number or word that is the last of its object
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return at
			}
		case ':':
			if depth == 0 {
				return at
			}
		}
	}
	return at
}

// textOf reads a string of valid JSON.
func textOf(raw []byte) (string, error) {
	if plain := raw[1 : len(raw)-1]; isPlain(string(plain)) {
		return string(plain), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// isPlain tells whether JSON has a string as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}

// decode reads valid JSON into the field.
func (f field) decode(raw []byte) error {
	switch raw[0] {
	case 'n': // null, which changes nothing but what holds JSON
		if v, ok := f.value.(*json.RawMessage); ok {
			*v = slices.Clone(raw)
		}
		return nil
	case '"':
		switch v := f.value.(type) {
		case *string:
			var err error
			*v, err = textOf(raw)
			return err
		case encoding.TextUnmarshaler:
			text, err := textOf(raw)
			if err != nil {
				return err
			}
			return v.UnmarshalText([]byte(text))
		}
	case 't', 'f':
		if v, ok := f.value.(*bool); ok {
			*v = raw[0] == 't'
			return nil
		}
	default:
		if v, ok := f.value.(*uint64); ok {
			if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
				*v = n
				return nil
			}
		}
	}
	return json.Unmarshal(raw, f.value)
}

// encodeFields writes JSON text with the fields in alphabetical order. It cannot fail for the values that rows have.
func encodeFields(fields []field, others unknown) []byte {
	all := slices.Clone(fields)
	for name, raw := range others {
		all = append(all, field{name, raw})
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	text := make([]byte, 0, 512)
	for i, f := range all {
		text = append(text, "{,"[min(i, 1)])
		text = appendText(text, f.name)
		text = append(text, ':')
		text = f.append(text)
	}
	if len(all) == 0 {
		text = append(text, '{')
	}
	return append(text, '}')
}

// append appends the field's value.
func (f field) append(text []byte) []byte {
	switch v := f.value.(type) {
	case *string:
		return appendText(text, *v)
	case *uint64:
		return strconv.AppendUint(text, *v, 10)
	case *bool:
		return strconv.AppendBool(text, *v)
	}
	return appendJSON(text, f.value)
}

func appendText(text []byte, s string) []byte {
	if !isPlain(s) {
		return appendJSON(text, s)
	}
	text = append(text, '"')
	text = append(text, s...)
	return append(text, '"')
}

func appendJSON(text []byte, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("lease: a row of plain values does not encode: %v", err))
	}
	return append(text, raw...)
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
