package ddbdedup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
)

// The attributes of an item. Names are short because every byte of them is paid for.
const (
	attrPartition  = "p" // S
	attrKey        = "k" // B
	attrEpoch      = "e" // N
	attrSession    = "w" // S
	attrGeneration = "g" // N
	attrSort       = "l" // S: a position in the form that sorts
	attrText       = "t" // S: the same as the service wrote it; missing where that is ""
	attrStripes    = "n" // N: of the seal, in its epoch
	attrEver       = "m" // N: the most stripes that the seal ever had
	attrFirst      = "f" // N: the generation in which a shard was sealed first
	attrDead       = "d" // BOOL: with PerID, true if it was given up
	attrExpiry     = "x" // N: with PerID, in seconds since 1970
)

// Limits of DynamoDB, in bytes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	maxPartition = 2048
	maxKey       = 1024
)

// The sort keys that are no lanes'. Those of lanes begin with k, p or h.
const (
	keySeal = "seal"
	keyID   = "id"
)

// item is how DynamoDB has it.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func binary(s string) types.AttributeValue { return &types.AttributeValueMemberB{Value: []byte(s)} }
func number(n uint64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(n, 10)}
}

// The partition keys of a shard. They are stored formats and never change: application, incarnation and shard, in which everything but printable ASCII, and space, percent sign and #, is percent-encoded, with spaces between them;
// the seal has no more, and behind a further space dead records have "dead", stripes of the seal their numbers, and records of PerID "id " and their sortable position. What is longer than DynamoDB takes is replaced by # and its SHA-256 in hexadecimal digits.
func partition(m dedup.Mark, rest string) string {
	p := escape(m.App) + " " + escape(m.Stream) + " " + escape(m.Shard) + rest
	if len(p) > maxPartition {
		sum := sha256.Sum256([]byte(p))
		return "#" + hex.EncodeToString(sum[:])
	}
	return p
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '%' || c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) (string, error) { return url.PathUnescape(s) }

func itemKey(partition, key string) item {
	return item{attrPartition: text(partition), attrKey: binary(key)}
}

func headKey(m dedup.Mark) item          { return itemKey(partition(m, ""), keySeal) }
func stripeKey(m dedup.Mark, i int) item { return itemKey(stripePartition(m, i), keySeal) }
func deadKey(m dedup.Mark) item          { return itemKey(deadPartition(m), m.Position.Sort()) }
func idKey(m dedup.Mark) item            { return itemKey(partition(m, " id "+m.Position.Sort()), keyID) }
func laneItemKey(m dedup.Mark, i int, key string) item {
	return itemKey(stripePartition(m, i), key)
}

func stripePartition(m dedup.Mark, i int) string { return partition(m, " "+strconv.Itoa(i)) }
func deadPartition(m dedup.Mark) string          { return partition(m, " dead") }

// laneKey is the sort key of a lane: itself, or, if it is longer than DynamoDB takes, h and its SHA-256. It is a stored format and never changes.
func laneKey(lane string) string {
	if len(lane) > maxKey {
		sum := sha256.Sum256([]byte(lane))
		return "h" + string(sum[:])
	}
	return lane
}

// stripe is where a lane is among n, a power of two. It is a stored format and never changes.
func stripe(key string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // it has no errors
	sum := h.Sum32()
	return int(sum^sum>>16) & (n - 1) // the low bits of this sum alone know little of a key's first bytes
}

// head is the row of a shard. The zero head is that there is none.
type head struct {
	seal    marks.Seal
	stripes int    // of the seal in its epoch; 0 with PerShard
	ever    int    // the most that there ever were: that many rows have to be fenced
	first   uint64 // the generation in which the shard was sealed first
}

func (h head) item(m dedup.Mark) item {
	it := sealItem(headKey(m), h.seal)
	it[attrStripes], it[attrEver], it[attrFirst] = number(uint64(h.stripes)), number(uint64(h.ever)), number(h.first)
	return it
}

// sealItem is the row of a seal or of one of its stripes.
func sealItem(it item, s marks.Seal) item {
	it[attrEpoch], it[attrSession], it[attrGeneration] = number(s.Epoch), text(s.Session), number(s.Generation)
	return positioned(it, s.Low)
}

func positioned(it item, p checkpoint.Position) item {
	it[attrSort] = text(p.Sort())
	if t := p.String(); t != "" {
		it[attrText] = text(t)
	}
	return it
}

// row is a lane's.
type row struct {
	marks.Done
	generation uint64
	stripe     int // in whose partition it is
}

// void tells whether a row says nothing, where low is stored in a generation.
func (r row) void(low checkpoint.Position, generation uint64) bool {
	return r.generation < generation || !low.Before(r.Position)
}

func (r row) item(key item) item {
	key[attrEpoch], key[attrGeneration] = number(r.Epoch), number(r.generation)
	return positioned(key, r.Position)
}

// decoder reads an item, and keeps the first thing that is wrong with it.
type decoder struct {
	item item
	err  error
}

func (d *decoder) text(name string) string {
	switch v := d.item[name].(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case nil:
		return ""
	default:
		d.fault(name, fmt.Errorf("has type %T, want a string", v))
		return ""
	}
}

func (d *decoder) number(name string) uint64 {
	v, ok := d.item[name].(*types.AttributeValueMemberN)
	if !ok {
		d.fault(name, fmt.Errorf("has type %T, want a number", d.item[name]))
		return 0
	}
	n, err := strconv.ParseUint(v.Value, 10, 64)
	if err != nil {
		d.fault(name, err)
	}
	return n
}

func (d *decoder) stripes(name string) int {
	n := d.number(name)
	if n > MaxStripes {
		d.fault(name, fmt.Errorf("is %d, want at most %d", n, MaxStripes))
		return 0
	}
	return int(n)
}

func (d *decoder) position() checkpoint.Position {
	p, err := checkpoint.Parse(d.text(attrText))
	if err != nil {
		d.fault(attrText, err)
	}
	return p
}

func (d *decoder) key() string {
	b, ok := d.item[attrKey].(*types.AttributeValueMemberB)
	if !ok {
		d.fault(attrKey, fmt.Errorf("has type %T, want a binary", d.item[attrKey]))
		return ""
	}
	return string(b.Value)
}

func (d *decoder) fault(name string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("the item %s: attribute %s: %w", nameOf(d.item), name, err)
	}
}

// nameOf is an item's key, for errors.
func nameOf(it item) string {
	p, _ := it[attrPartition].(*types.AttributeValueMemberS)
	k, _ := it[attrKey].(*types.AttributeValueMemberB)
	if p == nil || k == nil {
		return "without a key"
	}
	return fmt.Sprintf("%q %q", p.Value, k.Value)
}

func (d *decoder) seal() marks.Seal {
	if d.item == nil {
		return marks.Seal{}
	}
	return marks.Seal{Epoch: d.number(attrEpoch), Generation: d.number(attrGeneration), Session: d.text(attrSession), Low: d.position()}
}

func decodeSeal(it item) (marks.Seal, error) {
	d := decoder{item: it}
	return d.seal(), d.err
}

func decodeHead(it item) (head, error) {
	if it == nil {
		return head{}, nil
	}
	d := decoder{item: it}
	return head{d.seal(), d.stripes(attrStripes), d.stripes(attrEver), d.number(attrFirst)}, d.err
}

func decodeRow(it item, stripe int) (key string, r row, err error) {
	d := decoder{item: it}
	r = row{marks.Done{Position: d.position(), Epoch: d.number(attrEpoch)}, d.number(attrGeneration), stripe}
	return d.key(), r, d.err
}

func decodeEntry(it item) (marks.Entry, error) {
	if it == nil {
		return marks.Entry{}, nil
	}
	d := decoder{item: it}
	dead, _ := it[attrDead].(*types.AttributeValueMemberBOOL)
	return marks.Entry{There: true, Generation: d.number(attrGeneration), Dead: dead != nil && dead.Value}, d.err
}
