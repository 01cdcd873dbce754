package ddbsource

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

var (
	errUnknown = errors.New("it is not known to this program")
	errKind    = errors.New("it has another JSON type than it should")
)

// appendAttributes is an item in DynamoDB's own JSON, its attributes in the order of their names.
func appendAttributes(b []byte, attrs map[string]types.AttributeValue) (_ []byte, err error) {
	names := make([]string, 0, len(attrs))
	for name := range attrs {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for _, name := range names {
		if b, err = appendAttribute(appendField(b, name), attrs[name]); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return append(b, '}'), nil
}

func appendAttribute(b []byte, v types.AttributeValue) (_ []byte, err error) {
	if v == nil { // LocalStack gives an empty map without its type, of which the SDK makes nil; what a handler was given it is given again
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		b = appendQuoted(appendField(b, "S"), v.Value)
	case *types.AttributeValueMemberN:
		b = appendQuoted(appendField(b, "N"), v.Value)
	case *types.AttributeValueMemberB:
		b = appendBytes(appendField(b, "B"), v.Value)
	case *types.AttributeValueMemberSS:
		b = appendList(appendField(b, "SS"), v.Value, appendQuoted)
	case *types.AttributeValueMemberNS:
		b = appendList(appendField(b, "NS"), v.Value, appendQuoted)
	case *types.AttributeValueMemberBS:
		b = appendList(appendField(b, "BS"), v.Value, appendBytes)
	case *types.AttributeValueMemberBOOL:
		b = fmt.Append(appendField(b, "BOOL"), v.Value)
	case *types.AttributeValueMemberNULL:
		b = fmt.Append(appendField(b, "NULL"), v.Value)
	case *types.AttributeValueMemberM:
		b, err = appendAttributes(appendField(b, "M"), v.Value)
	case *types.AttributeValueMemberL:
		b = appendList(appendField(b, "L"), v.Value, func(b []byte, e types.AttributeValue) []byte {
			next, fault := appendAttribute(b, e)
			if fault != nil {
				err = fault
				return b
			}
			return next
		})
	default:
		return nil, fmt.Errorf("an attribute of the unknown type %T", v)
	}
	if err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func appendBytes(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, e)
	}
	return append(b, ']')
}

// each gives the fields of an object in the order of their names, so that of several faults always the same is told, and adds the name to an error.
func each(o map[string]any, f func(name string, v any) error) error {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if err := f(name, o[name]); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

func attributesOf(v any) (map[string]types.AttributeValue, error) {
	o, err := objectOf(v)
	if err != nil {
		return nil, err
	}
	attrs := make(map[string]types.AttributeValue, len(o))
	return attrs, each(o, func(name string, v any) (err error) {
		attrs[name], err = attributeOf(v)
		return err
	})
}

func attributeOf(v any) (a types.AttributeValue, err error) {
	if v == nil {
		return nil, nil //nolint:nilnil // as it was encoded
	}
	o, err := objectOf(v)
	if err != nil {
		return nil, err
	}
	if len(o) != 1 {
		return nil, fmt.Errorf("an attribute has one type, not %d", len(o))
	}
	err = each(o, func(kind string, v any) (err error) {
		a, err = valueOf(kind, v)
		return err
	})
	return a, err
}

func valueOf(kind string, v any) (types.AttributeValue, error) {
	switch kind {
	case "S":
		s, err := as[string](v)
		return &types.AttributeValueMemberS{Value: s}, err
	case "N":
		s, err := as[string](v)
		return &types.AttributeValueMemberN{Value: s}, err
	case "B":
		b, err := bytesOf(v)
		return &types.AttributeValueMemberB{Value: b}, err
	case "SS":
		l, err := listOf(v, as[string])
		return &types.AttributeValueMemberSS{Value: l}, err
	case "NS":
		l, err := listOf(v, as[string])
		return &types.AttributeValueMemberNS{Value: l}, err
	case "BS":
		l, err := listOf(v, bytesOf)
		return &types.AttributeValueMemberBS{Value: l}, err
	case "BOOL":
		is, err := as[bool](v)
		return &types.AttributeValueMemberBOOL{Value: is}, err
	case "NULL":
		is, err := as[bool](v)
		return &types.AttributeValueMemberNULL{Value: is}, err
	case "M":
		m, err := attributesOf(v)
		return &types.AttributeValueMemberM{Value: m}, err
	case "L":
		l, err := listOf(v, attributeOf)
		return &types.AttributeValueMemberL{Value: l}, err
	}
	return nil, errUnknown
}

func as[T any](v any) (T, error) {
	t, ok := v.(T)
	if !ok {
		return t, errKind
	}
	return t, nil
}

func objectOf(v any) (map[string]any, error) { return as[map[string]any](v) }

func textOf(v any) (*string, error) {
	s, err := as[string](v)
	return &s, err
}

func nameOf[T ~string](v any) (T, error) {
	s, err := as[string](v)
	return T(s), err
}

func bytesOf(v any) ([]byte, error) {
	s, err := as[string](v)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

func listOf[T any](v any, one func(any) (T, error)) ([]T, error) {
	l, err := as[[]any](v)
	if err != nil {
		return nil, err
	}
	list := make([]T, len(l))
	for i, e := range l {
		if list[i], err = one(e); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return list, nil
}
