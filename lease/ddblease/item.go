package ddblease

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/lease"
)

// The attributes of an item. Names are short because every byte of them is paid for.
const (
	attrGroup   = "g" // S: the key up to and including its last slash
	attrName    = "k" // S: the rest of the key
	attrVersion = "v" // N
	attrCursor  = "c" // S
	attrValue   = "b" // S: JSON text
)

// Limits of DynamoDB, in bytes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	maxGroup = 2048
	maxName  = 1024
	maxItem  = 400 * 1024 // names and values of all attributes
)

// numberSize is the most that a version takes: a byte for two digits, and one more.
const numberSize = 12

// item is how DynamoDB has it.
type item = map[string]types.AttributeValue

// split cuts a key into its group and its name.
func split(key string) (group, name string, err error) {
	i := strings.LastIndexByte(key, '/') + 1
	group, name = key[:i], key[i:]
	switch {
	case group == "" || name == "":
		return "", "", errors.New("a key is a group that ends in a slash, and a name")
	case len(group) > maxGroup || len(name) > maxName:
		return "", "", fmt.Errorf("a group of %d bytes and a name of %d: DynamoDB takes %d and %d", len(group), len(name), maxGroup, maxName)
	case !utf8.ValidString(key):
		return "", "", errors.New("a key is UTF-8")
	}
	return group, name, nil
}

func itemKey(group, name string) item {
	return item{attrGroup: &types.AttributeValueMemberS{Value: group}, attrName: &types.AttributeValueMemberS{Value: name}}
}

// condition is met by an item of that version, and for 0 by none.
func condition(version uint64) (*string, item) {
	text := "attribute_not_exists(" + attrGroup + ")"
	if version == 0 {
		return &text, nil
	}
	text = attrVersion + " = :v"
	return &text, item{":v": &types.AttributeValueMemberN{Value: strconv.FormatUint(version, 10)}}
}

// encode makes the item that follows row.
func encode(row lease.Row) (item, error) {
	group, name, err := split(row.Key)
	if err != nil {
		return nil, err
	}
	cursor := row.Cursor
	if cursor == "" {
		cursor = stamp()
	}
	const names = len(attrGroup + attrName + attrVersion + attrCursor + attrValue)
	size := names + len(group) + len(name) + numberSize + len(cursor) + len(row.Value)
	switch {
	case size > maxItem:
		return nil, fmt.Errorf("an item of %d bytes: DynamoDB takes %d, its attributes' names included", size, maxItem)
	case !utf8.Valid(row.Value):
		return nil, errors.New("the value is not UTF-8, so not JSON")
	case row.Version == math.MaxUint64:
		return nil, errors.New("its versions are used up")
	}
	it := itemKey(group, name)
	it[attrVersion] = &types.AttributeValueMemberN{Value: strconv.FormatUint(row.Version+1, 10)}
	it[attrCursor] = &types.AttributeValueMemberS{Value: cursor}
	it[attrValue] = &types.AttributeValueMemberS{Value: string(row.Value)}
	return it, nil
}

// decode reads an item back. One that cannot be read is a row with an error, which wraps lease.ErrRow and names the table and the key.
func (s *Store) decode(it item) lease.Row {
	d := decoder{item: it}
	group, name := d.text(attrGroup), d.text(attrName)
	row := lease.Row{Key: group + name, Cursor: d.text(attrCursor), Value: []byte(d.text(attrValue))}
	if !strings.HasSuffix(group, "/") || strings.Contains(name, "/") {
		d.fault("attributes %s and %s are no group and name", attrGroup, attrName)
	}
	number, ok := it[attrVersion].(*types.AttributeValueMemberN)
	if !ok {
		d.fault("attribute %s is %s; want a number", attrVersion, kind(it[attrVersion]))
	} else if v, err := strconv.ParseUint(number.Value, 10, 64); err != nil || v == 0 {
		d.fault("attribute %s is %s; want a whole number from 1 to 2^64-1", attrVersion, number.Value)
	} else {
		row.Version = v
	}
	if d.faults != nil {
		return lease.Row{Key: row.Key, Version: max(1, row.Version), Cursor: row.Cursor,
			Err: fmt.Errorf("ddblease: table %q: item %q: %w: %s: correct it by hand, as the package's documentation says",
				s.table, row.Key, lease.ErrRow, strings.Join(d.faults, "; "))}
	}
	return row
}

// decoder collects what is wrong with an item.
type decoder struct {
	item   item
	faults []string
}

func (d *decoder) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

func (d *decoder) text(attr string) string {
	s, ok := d.item[attr].(*types.AttributeValueMemberS)
	if !ok {
		d.fault("attribute %s is %s; want a string", attr, kind(d.item[attr]))
		return ""
	}
	return s.Value
}

// kind names the type of an attribute as DynamoDB does.
func kind(v types.AttributeValue) string {
	if v == nil {
		return "missing"
	}
	return "of type " + strings.TrimPrefix(fmt.Sprintf("%T", v), "*types.AttributeValueMember")
}
