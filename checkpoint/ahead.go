package checkpoint

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"strings"
)

// MaxAhead is how many records behind a position an [Ahead] can tell of.
const MaxAhead = 1 << 15

// ErrAhead is wrapped by every error about a text that is no [Ahead].
var ErrAhead = errors.New("not a set of records ahead of a position")

// Ahead says which records behind a position are done already, by their order: the first record behind the position has number 0. It belongs
// to the one position for which it was made, and names the record that was number 0 then: who begins after that position and meets another record first must
// ignore it, for then the numbers are those of other records. The zero Ahead says that none is done. Two values can be compared with ==.
type Ahead struct {
	first Position
	runs  string // its text behind the slash, in the form that encode chooses; "" at the zero Ahead
}

// The text begins with the position of record 0 and a slash. What follows is a letter and the shorter of two forms, which are stored formats and never change:
//
//	r  lengths of runs, in turn of records that are not done (0 if number 0 is done) and of those that are, the last of which is done. Each is written in digits of 5 bits,
//	   lowest first, as characters of URL-safe base64; 32 is added to each digit that another follows
//	b  a bitmap in URL-safe base64 without padding: number 0 is the lowest bit of the first byte, and bytes of zeros at the end are left out
const (
	aheadRuns   = 'r'
	aheadBitmap = 'b'
)

const (
	digitBits = 5
	moreBit   = 1 << digitBits
	alphabet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	// maxRuns is the length of the longest text behind the slash: a whole bitmap, because runs are chosen only if they are no longer.
	maxRuns = 1 + (MaxAhead/8*8+5)/6
)

var bitmapText = base64.RawURLEncoding.Strict()

// numbers are those of the records that are done.
type numbers [MaxAhead / 64]uint64

// NewAhead says that the records with the numbers done are, where first is the position of record 0. The numbers rise; those from [MaxAhead] on are
// dropped. Without numbers, or with a first that is no record's, it is the zero Ahead.
func NewAhead(first Position, done iter.Seq[int]) Ahead {
	if first.IsZero() || first.IsEnd() {
		return Ahead{}
	}
	var set numbers
	for n := range done {
		u := uint(n)
		if u >= MaxAhead {
			break
		}
		set[u/64] |= 1 << (u % 64)
	}
	return set.ahead(first)
}

// ParseAhead reads what [Ahead.String] wrote. The error wraps [ErrAhead].
func ParseAhead(s string) (Ahead, error) {
	if s == "" {
		return Ahead{}, nil
	}
	a, err := parseAhead(s)
	if err != nil {
		return Ahead{}, fmt.Errorf("%w: %s: %w", ErrAhead, quote(s), err)
	}
	return a, nil
}

func parseAhead(s string) (Ahead, error) {
	text, runs, _ := strings.Cut(s, "/")
	first, err := Parse(text)
	switch {
	case err != nil:
		return Ahead{}, err
	case first.IsZero() || first.IsEnd():
		return Ahead{}, errors.New("it names no first record")
	case runs == "" || len(runs) > maxRuns:
		return Ahead{}, fmt.Errorf("%d characters behind the slash, want 1 to %d", len(runs), maxRuns)
	}
	var set numbers
	if err := set.read(runs); err != nil {
		return Ahead{}, err
	}
	a := set.ahead(first)
	if a.IsZero() {
		return Ahead{}, errors.New("it names no record that is done")
	}
	return a, nil
}

// First is the position of the record that has number 0.
func (a Ahead) First() Position { return a.first }

// IsZero tells whether no record is done.
func (a Ahead) IsZero() bool { return a == Ahead{} }

// Len is how many records are done.
func (a Ahead) Len() int {
	n := 0
	for _, w := range a.numbers() {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the numbers of the records that are done, rising.
func (a Ahead) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range a.numbers() {
			for ; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// String is the stored form, printable ASCII of at most 5,464 characters and the position of the first record: "" at the zero Ahead. [ParseAhead] reads it back.
func (a Ahead) String() string {
	if a.IsZero() {
		return ""
	}
	return a.first.String() + "/" + a.runs
}

// MarshalText gives the stored form of [Ahead.String].
func (a Ahead) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the stored form of [Ahead.String]. The error wraps [ErrAhead].
func (a *Ahead) UnmarshalText(b []byte) error {
	parsed, err := ParseAhead(string(b))
	if err == nil {
		*a = parsed
	}
	return err
}

func (a Ahead) numbers() (set numbers) {
	if !a.IsZero() {
		_ = set.read(a.runs) // it was written, or read before, by this package
	}
	return set
}

// ahead writes the shorter form, so that one set has one text.
func (set *numbers) ahead(first Position) Ahead {
	words := len(set)
	for ; words > 0 && set[words-1] == 0; words-- {
	}
	if words == 0 {
		return Ahead{}
	}
	end := words*64 - bits.LeadingZeros64(set[words-1])
	size := (end + 7) / 8
	text := make([]byte, 1, 1+bitmapText.EncodedLen(size)+4) // a last number may be written before it is known to be too much
	text[0] = aheadRuns
	for at, done := 0, false; at < end; done = !done {
		next := set.change(at, done)
		if text = appendCount(text, next-at); len(text) > 1+bitmapText.EncodedLen(size) {
			return Ahead{first, set.bitmap(text[:0], size)}
		}
		at = next
	}
	return Ahead{first, string(text)}
}

// change is the first number from at on that is done, if those before are not, or that is not, if they are.
func (set *numbers) change(at int, done bool) int {
	var flip uint64
	if done {
		flip = ^flip
	}
	i := at / 64
	w := (set[i] ^ flip) >> (at % 64) << (at % 64)
	for w == 0 {
		if i++; i == len(set) {
			return MaxAhead
		}
		w = set[i] ^ flip
	}
	return i*64 + bits.TrailingZeros64(w)
}

func appendCount(text []byte, n int) []byte {
	for ; n >= moreBit; n >>= digitBits {
		text = append(text, alphabet[n%moreBit+moreBit])
	}
	return append(text, alphabet[n])
}

func (set *numbers) bitmap(text []byte, size int) string {
	raw := make([]byte, 0, MaxAhead/8)
	for _, w := range set[:(size+7)/8] {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return string(bitmapText.AppendEncode(append(text, aheadBitmap), raw[:size]))
}

// read reads either form into an empty set. What is no longer than maxRuns costs no more than the set has room for.
func (set *numbers) read(runs string) error {
	switch runs[0] {
	case aheadRuns:
		return set.readRuns(runs[1:])
	case aheadBitmap:
		return set.readBitmap(runs[1:])
	}
	return fmt.Errorf("%q behind the slash, want %q or %q", runs[0], aheadRuns, aheadBitmap)
}

func (set *numbers) readRuns(text string) error {
	at, done := 0, false
	for i := 0; i < len(text); done = !done {
		n, digits := count(text[i:])
		if digits == 0 || n > MaxAhead-at || n == 0 && i > 0 {
			return fmt.Errorf("no length of a run at character %d, or one beyond number %d", i, MaxAhead-1)
		}
		if done {
			set.add(at, at+n)
		}
		i += digits
		at += n
	}
	if done {
		return errors.New("the last run is of records that are not done")
	}
	return nil
}

// count reads one number and tells how many digits it has, 0 if there is none of a sensible size.
func count(text string) (n, digits int) {
	for shift := 0; digits < len(text) && shift <= 15; shift += digitBits {
		d := strings.IndexByte(alphabet, text[digits])
		if d < 0 {
			return 0, 0
		}
		digits++
		n |= d % moreBit << shift
		if d < moreBit {
			return n, digits
		}
	}
	return 0, 0
}

// add puts in the numbers from at on below end.
func (set *numbers) add(at, end int) {
	for at < end {
		n := min(end-at, 64-at%64)
		set[at/64] |= ^uint64(0) >> (64 - n) << (at % 64)
		at += n
	}
}

func (set *numbers) readBitmap(text string) error {
	raw, err := bitmapText.DecodeString(text)
	if err != nil {
		return err
	}
	for i, b := range raw {
		set[i/8] |= uint64(b) << (i % 8 * 8)
	}
	return nil
}
