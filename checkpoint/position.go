package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxDigits is the greatest number of digits of a sequence number, leading zeros included.
const MaxDigits = 900

// ErrPosition is wrapped by every error about a text that is no position.
var ErrPosition = errors.New("not a position")

const endText = "END"

// Position is a place in one shard: everything up to it and including it is done. The zero Position stands before the first record
// and [End] after the last. Positions of two shards do not compare.
//
// A Position is made by [Sequence], [Aggregated], [Offset] or [End], or read back by [Parse]. Two positions that came from one
// service can be compared with ==; [Position.Compare] also equates sequence numbers that differ in leading zeros only.
type Position struct {
	seq string // the service's own digits; "" at the zero Position and at End
	sub uint32 // 0: the whole record; 1…: so many records of the aggregate seq
	end bool
}

// Sequence is the position of a record with the decimal sequence number seq, as the service wrote it. The error wraps
// [ErrPosition].
func Sequence(seq string) (Position, error) {
	if err := checkDigits(seq); err != nil {
		return Position{}, err
	}
	return Position{seq: seq}, nil
}

// Aggregated is the position of the n-th record, counted from 1, inside the aggregate that has the sequence number seq.
// It lies after Sequence(seq), so that a position of an aggregate always says how much of it was done. The error wraps [ErrPosition].
func Aggregated(seq string, n uint32) (Position, error) {
	p, err := Sequence(seq)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: records inside the aggregate %s are counted from 1", ErrPosition, seq)
	}
	if err != nil {
		return Position{}, err
	}
	p.sub = n
	return p, nil
}

// Offset is the position n of sources that count from 0, such as files.
func Offset(n uint64) Position { return Position{seq: strconv.FormatUint(n, 10)} }

// End is the position after the last record of a shard that is closed and fully read.
func End() Position { return Position{end: true} }

// Parse reads what [Position.String] wrote. The error wraps [ErrPosition].
func Parse(s string) (Position, error) {
	switch s {
	case "":
		return Position{}, nil
	case endText:
		return End(), nil
	}
	seq, sub, aggregated := strings.Cut(s, ":")
	if !aggregated {
		return Sequence(seq)
	}
	n, err := strconv.ParseUint(sub, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != sub {
		return Position{}, fmt.Errorf("%w: %s after the colon, want a number from 1 to %d", ErrPosition, quote(s), uint32(math.MaxUint32))
	}
	return Aggregated(seq, uint32(n))
}

// String is the stored form: "" at the zero Position, "END", the sequence number as the service sent it, or the
// sequence number, a colon and the number of records of the aggregate. [Parse] reads it back.
func (p Position) String() string {
	switch {
	case p.end:
		return endText
	case p.sub > 0:
		return p.seq + ":" + strconv.FormatUint(uint64(p.sub), 10)
	}
	return p.seq
}

// Sequence is the sequence number as the service wrote it, "" at the zero Position and at End.
func (p Position) Sequence() string { return p.seq }

// Aggregated is the number of records done inside the aggregate with this sequence number, and 0 for a whole record.
func (p Position) Aggregated() uint32 { return p.sub }

// Offset is the position as a number, for sources that made it with [Offset].
func (p Position) Offset() (uint64, bool) {
	n, err := strconv.ParseUint(p.seq, 10, 64)
	return n, err == nil && p.sub == 0
}

// IsZero tells whether p stands before the first record.
func (p Position) IsZero() bool { return p == Position{} }

// IsEnd tells whether p is [End].
func (p Position) IsEnd() bool { return p.end }

// Compare is negative if p lies before q, 0 if they are the same place, and positive if p lies after q.
func (p Position) Compare(q Position) int {
	if p.end || q.end {
		return rank(p) - rank(q)
	}
	a, b := significant(p.seq), significant(q.seq)
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	if c := strings.Compare(a, b); c != 0 {
		return c
	}
	switch {
	case p.sub < q.sub:
		return -1
	case p.sub > q.sub:
		return 1
	}
	return 0
}

// Before tells whether p lies before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

const (
	sortFirst = "000"
	sortEnd   = "999"
)

// Sort is the form that orders as bytes, in any store and under any byte collation: three digits with the number of digits, the
// digits without leading zeros, and ten digits with the place inside an aggregate. The zero Position is "000" and End "999".
// It is a stored format and never changes.
func (p Position) Sort() string {
	if p.end {
		return sortEnd
	}
	if p.seq == "" {
		return sortFirst
	}
	digits := significant(p.seq)
	b := make([]byte, 0, 3+len(digits)+10)
	b = appendPadded(b, uint64(len(digits)), 3)
	b = append(b, digits...)
	return string(appendPadded(b, uint64(p.sub), 10))
}

// MarshalText gives the stored form of [Position.String].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the stored form of [Position.String]. The error wraps [ErrPosition].
func (p *Position) UnmarshalText(b []byte) error {
	q, err := Parse(string(b))
	if err == nil {
		*p = q
	}
	return err
}

// significant strips leading zeros and leaves one digit of a zero, so that the sequence number 0 still lies after
// the zero Position.
func significant(seq string) string {
	for len(seq) > 1 && seq[0] == '0' {
		seq = seq[1:]
	}
	return seq
}

func rank(p Position) int {
	if p.end {
		return 1
	}
	return 0
}

func appendPadded(b []byte, n uint64, width int) []byte {
	s := strconv.FormatUint(n, 10)
	for i := len(s); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, s...)
}

func checkDigits(seq string) error {
	if seq == "" || len(seq) > MaxDigits {
		return fmt.Errorf("%w: %s has %d characters, want 1 to %d decimal digits", ErrPosition, quote(seq), len(seq), MaxDigits)
	}
	i := 0
	for ; i+8 <= len(seq) && eightDigits(seq[i:i+8]); i += 8 {
	}
	for ; i < len(seq); i++ {
		if seq[i] < '0' || seq[i] > '9' {
			return fmt.Errorf("%w: %s has %q, want decimal digits only", ErrPosition, quote(seq), seq[i])
		}
	}
	return nil
}

// eightDigits looks at eight bytes at once: each must be 3x, and still be when 6 is added to it. Every record's sequence number is checked.
func eightDigits(s string) bool {
	const high, six, three = 0xF0F0F0F0F0F0F0F0, 0x0606060606060606, 0x3030303030303030
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	return x&high == three && (x+six)&high == three
}

// quote shortens s, which may be anything, to what a log line bears.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:80]) + "…"
	}
	return strconv.Quote(s)
}
