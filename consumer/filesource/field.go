package filesource

import (
	"bytes"
	"encoding/json"
	"time"
)

// field finds the value of the first top-level field of that name in a line that is a JSON object. It looks at no more of the line than it must, and so
// does not find out whether all of it is JSON.
func field(line []byte, name string) (value []byte, ok bool) {
	rest := skipSpace(line)
	if len(rest) == 0 || rest[0] != '{' {
		return nil, false
	}
	for {
		rest = skipSpace(rest[1:])
		if len(rest) == 0 || rest[0] != '"' {
			return nil, false
		}
		n := stringEnd(rest)
		if n < 0 {
			return nil, false
		}
		found := isString(rest[:n], name)
		rest = skipSpace(rest[n:])
		if len(rest) == 0 || rest[0] != ':' {
			return nil, false
		}
		rest = skipSpace(rest[1:])
		if n = valueEnd(rest); n < 0 {
			return nil, false
		}
		if found {
			return rest[:n], true
		}
		rest = skipSpace(rest[n:])
		if len(rest) == 0 || rest[0] != ',' {
			return nil, false
		}
	}
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// stringEnd is the length of the JSON string with which b begins, negative if it has no end.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd is the length of the JSON value with which b begins, negative if it has no end or is none.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n < 0 {
				return -1
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return atLeastOne(i)
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return atLeastOne(i)
			}
		}
	}
	return -1
}

func atLeastOne(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func isString(quoted []byte, s string) bool {
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 {
		return string(inside) == s
	}
	var unquoted string
	return json.Unmarshal(quoted, &unquoted) == nil && unquoted == s
}

// appendKey appends to b the text of a JSON string, or of a number, true or false as they are written; nothing for other values.
func appendKey(b, value []byte) []byte {
	switch value[0] {
	case '{', '[', 'n':
		return b
	case '"':
		inside := value[1 : len(value)-1]
		if bytes.IndexByte(inside, '\\') < 0 {
			return append(b, inside...)
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			return b
		}
		return append(b, text...)
	}
	if !json.Valid(value) {
		return b
	}
	return append(b, value...)
}

// instant reads a JSON string in RFC 3339, and gives the zero time for anything else.
func instant(value []byte) time.Time {
	if len(value) < 2 || value[0] != '"' {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, string(value[1:len(value)-1]))
	if err != nil {
		return time.Time{}
	}
	return t
}
