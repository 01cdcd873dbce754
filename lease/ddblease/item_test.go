package ddblease

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/lease"
)

func sound() item {
	return item{
		"g": &types.AttributeValueMemberS{Value: "app/S/i/"}, "k": &types.AttributeValueMemberS{Value: "shard"},
		"v": &types.AttributeValueMemberN{Value: "18446744073709551615"},
		"c": &types.AttributeValueMemberS{Value: "cursor"}, "b": &types.AttributeValueMemberS{Value: `{"é":1}`},
	}
}

func TestASoundItemIsDecoded(t *testing.T) {
	row := (&Store{table: table}).decode(sound())
	if want := (lease.Row{Key: "app/S/i/shard", Version: math.MaxUint64, Cursor: "cursor", Value: []byte(`{"é":1}`)}); row.Err != nil || fmt.Sprint(row) != fmt.Sprint(want) {
		t.Fatalf("%+v; want %+v", row, want)
	}
}

func TestACorruptItemNamesTableKeyAndAttribute(t *testing.T) {
	number := func(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	for name, c := range map[string]struct {
		attr  string
		value types.AttributeValue
		want  string
	}{
		"no group":              {"g", nil, "attribute g is missing"},
		"group a number":        {"g", number("1"), "attribute g is of type N"},
		"group without a slash": {"g", text("app"), "no group and name"},
		"no name":               {"k", nil, "attribute k is missing"},
		"name with a slash":     {"k", text("a/b"), "no group and name"},
		"no version":            {"v", nil, "attribute v is missing; want a number"},
		"version a string":      {"v", text("1"), "attribute v is of type S; want a number"},
		"version 0":             {"v", number("0"), "attribute v is 0; want a whole number"},
		"version negative":      {"v", number("-1"), "attribute v is -1"},
		"version a fraction":    {"v", number("1.5"), "attribute v is 1.5"},
		"version in hex":        {"v", number("0x10"), "attribute v is 0x10"},
		"version too large":     {"v", number("18446744073709551616"), "attribute v is 18446744073709551616"},
		"no cursor":             {"c", nil, "attribute c is missing"},
		"cursor a number":       {"c", number("1"), "attribute c is of type N; want a string"},
		"no value":              {"b", nil, "attribute b is missing"},
		"value binary":          {"b", &types.AttributeValueMemberB{Value: []byte(`{}`)}, "attribute b is of type B; want a string"},
		"value a map":           {"b", &types.AttributeValueMemberM{}, "attribute b is of type M"},
		"value null":            {"b", &types.AttributeValueMemberNULL{Value: true}, "attribute b is of type NULL"},
	} {
		t.Run(name, func(t *testing.T) {
			it := sound()
			it[c.attr] = c.value
			if c.value == nil {
				delete(it, c.attr)
			}
			row := (&Store{table: table}).decode(it)
			err := row.Err
			if !errors.Is(err, lease.ErrRow) || row.Version == 0 || row.Value != nil {
				t.Fatalf("%+v; want a row that is there and has no value, and lease.ErrRow", row)
			}
			for _, want := range []string{`table "leases"`, c.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want it to say %q", err, want)
				}
			}
			if c.attr != "g" && c.attr != "k" && !strings.Contains(err.Error(), `item "app/S/i/shard"`) {
				t.Errorf("%v; want it to name the key", err)
			}
		})
	}
}

func TestACorruptRowDoesNotHideTheOthers(t *testing.T) {
	s, _ := storeOn(in(reply{body: found(itemText("a/1", 1, "c", `1`), `{"g":{"S":"a/"},"k":{"S":"2"},"v":{"S":"two"}}`)}), nil)
	rows, err := s.Get(t.Context(), []string{"a/1", "a/2"})
	if err != nil || len(rows) != 2 || rows[0].Err != nil || string(rows[0].Value) != "1" {
		t.Fatalf("%+v, %v; want both rows, the first sound", rows, err)
	}
	if r := rows[1]; r.Key != "a/2" || !errors.Is(r.Err, lease.ErrRow) || !strings.Contains(r.Err.Error(), `item "a/2"`) {
		t.Fatalf("%+v; want lease.ErrRow and the key", r)
	}
}

// attribute makes an attribute of one of the types that DynamoDB has, or none.
func attribute(kind byte, text string) types.AttributeValue {
	switch kind % 8 {
	case 0:
		return &types.AttributeValueMemberS{Value: text}
	case 1:
		return &types.AttributeValueMemberN{Value: text}
	case 2:
		return &types.AttributeValueMemberB{Value: []byte(text)}
	case 3:
		return &types.AttributeValueMemberBOOL{Value: true}
	case 4:
		return &types.AttributeValueMemberNULL{Value: true}
	case 5:
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: text}}}
	case 6:
		return &types.AttributeValueMemberSS{Value: []string{text}}
	}
	return nil
}

// An item is decoded to a row that encodes to the same item, or it is an error that names it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0}, "app/S/i/", "shard", "7", "cursor", `{}`)
	f.Add([]byte{0, 0, 1, 0, 0}, "app/", "shard", "0x10", "", `{}`)
	f.Add([]byte{0, 0, 0, 0, 0}, "app/", "shard", "7", "cursor", `{}`)
	f.Add([]byte{0, 0, 1, 0, 0}, "app", "a/b", "18446744073709551616", "", "\xff")
	f.Add([]byte{7, 7, 7, 7, 7}, "", "", "", "", "")
	f.Add([]byte{0, 0, 1, 5, 2}, "a/", "b", "1e2", "c", "d")
	f.Fuzz(func(t *testing.T, kinds []byte, g, k, v, c, b string) {
		if len(kinds) != 5 {
			return
		}
		it := item{}
		for i, text := range []string{g, k, v, c, b} {
			if a := attribute(kinds[i], text); a != nil {
				it[string("gkvcb"[i])] = a
			}
		}
		before := maps.Clone(it)
		s := &Store{table: table}
		row := s.decode(it)
		err := row.Err
		if !reflect.DeepEqual(it, before) {
			t.Fatalf("decode changed its item")
		}
		if err != nil {
			if !errors.Is(err, lease.ErrRow) || !strings.Contains(err.Error(), `table "leases"`) {
				t.Fatalf("%v; want lease.ErrRow and the table", err)
			}
			if kinds[0]%8 == 0 && kinds[1]%8 == 0 && !strings.Contains(err.Error(), fmt.Sprintf("%q", g+k)) {
				t.Fatalf("%v; want the key %q", err, g+k)
			}
			if row.Version == 0 || row.Value != nil {
				t.Fatalf("%+v; want a row that is there and has no value", row)
			}
			return
		}
		if row.Version == 0 || row.Key != g+k || string(row.Value) != b || row.Cursor != c {
			t.Fatalf("%+v is not what the item %q %q %q %q %q says", row, g, k, v, c, b)
		}
		row.Version--
		again, err := encode(row)
		if err != nil || c == "" { // more than DynamoDB holds, or a cursor that would be stamped
			return
		}
		want := maps.Clone(it)
		want["v"] = &types.AttributeValueMemberN{Value: fmt.Sprint(row.Version + 1)} // without leading zeros
		if !reflect.DeepEqual(again, want) {
			t.Fatalf("%v is encoded as %v", want, again)
		}
	})
}
