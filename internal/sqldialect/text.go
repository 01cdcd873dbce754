package sqldialect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// longest is how much of a name is indexed as it is. An entry of an index of PostgreSQL holds 2,704 bytes, and several names.
const longest = 512

// Bounded is a name for an index: itself, or if it is long its beginning and a digest of the whole, which together are longer than any that is short.
func Bounded(name string) []byte {
	if len(name) <= longest {
		return []byte(name)
	}
	sum := sha256.Sum256([]byte(name))
	return append([]byte(name[:longest+1-len(sum)]), sum[:]...)
}

// Scope names the records of an application in a stream, for an index. The parts are separated by a space, and a space or a percent sign inside one is percent-encoded.
func Scope(app, stream string) []byte {
	escape := strings.NewReplacer("%", "%25", " ", "%20").Replace
	return Bounded(escape(app) + " " + escape(stream))
}

// Text is a string of any bytes in JSON and in a column of text: what is no UTF-8, zero bytes and percent signs are percent-encoded.
type Text string

// Encoded is what is stored.
func (t Text) Encoded() string {
	var b strings.Builder
	for i := 0; i < len(t); {
		r, n := utf8.DecodeRuneInString(string(t[i:]))
		if r == utf8.RuneError && n == 1 || r == 0 || r == '%' {
			fmt.Fprintf(&b, "%%%02X", t[i])
		} else {
			b.WriteString(string(t[i : i+n]))
		}
		i += n
	}
	return b.String()
}

// MarshalText is not asked by package json for the keys of a map.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.Encoded()), nil }

// UnmarshalText reads what [Text.Encoded] wrote.
func (t *Text) UnmarshalText(encoded []byte) error {
	decoded := make([]byte, 0, len(encoded))
	for len(encoded) > 0 {
		before, after, found := bytes.Cut(encoded, []byte("%"))
		decoded, encoded = append(decoded, before...), after
		if !found {
			break
		}
		b, err := hex.DecodeString(string(after[:min(2, len(after))]))
		if err != nil || len(b) != 1 {
			return fmt.Errorf("a percent sign without two hexadecimal digits in %s", strconv.Quote(string(encoded)))
		}
		decoded, encoded = append(decoded, b...), after[2:]
	}
	*t = Text(decoded)
	return nil
}
