package snippets_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// awsCommand is a command of the AWS CLI as the request that it makes. The CLI's options are the members of the request, in kebab case:
// https://docs.aws.amazon.com/cli/latest/reference/.
type awsCommand struct {
	service string // kinesis or dynamodb
	op      string // CreateStream, or "" for a waiter
	wait    string // stream-exists, table-exists, or ""
	in      map[string]any
}

var inputs = map[string]any{
	"kinesis CreateStream": kinesis.CreateStreamInput{}, "kinesis PutRecord": kinesis.PutRecordInput{}, "kinesis DescribeStreamSummary": kinesis.DescribeStreamSummaryInput{},
	"kinesis wait": kinesis.DescribeStreamInput{}, "kinesis DeleteStream": kinesis.DeleteStreamInput{}, "kinesis UpdateShardCount": kinesis.UpdateShardCountInput{},
	"kinesis IncreaseStreamRetentionPeriod": kinesis.IncreaseStreamRetentionPeriodInput{},
	"dynamodb CreateTable":                  dynamodb.CreateTableInput{}, "dynamodb UpdateTable": dynamodb.UpdateTableInput{}, "dynamodb PutItem": dynamodb.PutItemInput{},
	"dynamodb DeleteItem": dynamodb.DeleteItemInput{}, "dynamodb Query": dynamodb.QueryInput{}, "dynamodb GetItem": dynamodb.GetItemInput{},
	"dynamodb wait": dynamodb.DescribeTableInput{}, "dynamodb DescribeTable": dynamodb.DescribeTableInput{}, "dynamodb UpdateItem": dynamodb.UpdateItemInput{},
}

// local are options that are the CLI's own.
var local = map[string][]string{"cli-binary-format": {"raw-in-base64-out"}, "output": {"json", "text", "table"}, "query": nil, "no-cli-pager": nil}

func parseAWS(words []string) (awsCommand, error) {
	if len(words) < 3 {
		return awsCommand{}, errors.New("aws needs a service and an operation")
	}
	c := awsCommand{service: words[1], in: map[string]any{}}
	rest := words[3:]
	if words[2] == "wait" && len(rest) > 0 {
		c.wait, rest = rest[0], rest[1:]
		if !slices.Contains([]string{"kinesis stream-exists", "dynamodb table-exists"}, c.service+" "+c.wait) {
			return c, fmt.Errorf("no waiter %s is known to the tests", c.wait)
		}
	} else {
		c.op = camel(words[2])
	}
	input, ok := inputs[c.service+" "+c.op+words[2][:len(words[2])*min(len(c.wait), 1)]]
	if !ok {
		return c, fmt.Errorf("the tests do not know %s of %s: add its input to inputs in awscli_test.go", words[2], c.service)
	}
	for len(rest) > 0 {
		name, isOption := strings.CutPrefix(rest[0], "--")
		if !isOption {
			return c, fmt.Errorf("%s is no option", rest[0])
		}
		n := slices.IndexFunc(rest[1:], func(w string) bool { return strings.HasPrefix(w, "--") })
		if n < 0 {
			n = len(rest) - 1
		}
		values := rest[1 : n+1]
		rest = rest[n+1:]
		if known, isLocal := local[name]; isLocal {
			if len(values) > 0 && known != nil && !slices.Contains(known, values[0]) {
				return c, fmt.Errorf("--%s is one of %q", name, known)
			}
			continue
		}
		field, ok := fieldNamed(reflect.TypeOf(input), camel(name))
		if !ok {
			return c, fmt.Errorf("%s has no option --%s", words[2], name)
		}
		value, err := fromWords(field.Type, values)
		if err != nil {
			return c, fmt.Errorf("--%s: %w", name, err)
		}
		c.in[field.Name] = value
	}
	return c, nil
}

func camel(kebab string) string {
	parts := strings.Split(kebab, "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, name) })
}

// fromWords is the value of an option.
func fromWords(t reflect.Type, words []string) (any, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Bool && len(words) == 0:
		return true, nil
	case len(words) == 0:
		return nil, errors.New("it has no value")
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !strings.HasPrefix(words[0], "["):
		var list []any
		for _, w := range words {
			v, err := fromWords(t.Elem(), []string{w})
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case len(words) > 1:
		return nil, fmt.Errorf("%q is more than one value", words)
	case strings.HasPrefix(words[0], "{") || strings.HasPrefix(words[0], "["):
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			break
		}
		var v any
		if err := json.Unmarshal([]byte(words[0]), &v); err != nil {
			return nil, err
		}
		return typed(t, v)
	case t.Kind() == reflect.Struct:
		v, rest, err := pairs(words[0])
		if err != nil || rest != "" {
			return nil, fmt.Errorf("no shorthand: %q: %w", rest, err)
		}
		return typed(t, v)
	}
	return typed(t, words[0])
}

// pairs reads the CLI's shorthand: a=b,c={d=e},f=[g,h].
func pairs(s string) (map[string]any, string, error) {
	all := map[string]any{}
	for {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || strings.ContainsAny(name, "{}[],") {
			return nil, s, fmt.Errorf("%q is no name and value", s)
		}
		v, rest, err := shorthand(rest)
		if err != nil {
			return nil, rest, err
		}
		all[name] = v
		if s, ok = strings.CutPrefix(rest, ","); !ok {
			return all, rest, nil
		}
	}
}

func shorthand(s string) (v any, rest string, err error) {
	switch {
	case strings.HasPrefix(s, "{"):
		v, rest, err = pairs(s[1:])
		rest, ok := strings.CutPrefix(rest, "}")
		if err == nil && !ok {
			err = errors.New("a brace is never closed")
		}
		return v, rest, err
	case strings.HasPrefix(s, "["):
		var list []any
		for s = s[1:]; ; s = s[1:] {
			if v, s, err = shorthand(s); err != nil {
				return nil, s, err
			}
			list = append(list, v)
			if rest, ok := strings.CutPrefix(s, "]"); ok {
				return list, rest, nil
			}
			if !strings.HasPrefix(s, ",") {
				return nil, s, errors.New("a bracket is never closed")
			}
		}
	}
	end := strings.IndexAny(s, ",]}")
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], nil
}

// typed checks the names and forms of v, and is v as the service's JSON has it.
func typed(t reflect.Type, v any) (any, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text, isText := v.(string)
	switch t.Kind() {
	case reflect.Struct:
		object, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%v is no %s", v, t)
		}
		out := map[string]any{}
		for name, inner := range object {
			field, ok := t.FieldByName(name)
			if !ok {
				return nil, fmt.Errorf("%s has no %s", t, name)
			}
			value, err := typed(field.Type, inner)
			if err != nil {
				return nil, err
			}
			out[name] = value
		}
		return out, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return base64.StdEncoding.EncodeToString([]byte(text)), nil
		}
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("%v is no list", v)
		}
		for i := range list {
			var err error
			if list[i], err = typed(t.Elem(), list[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Bool:
		if isText {
			return strconv.ParseBool(text)
		}
	case reflect.Int32, reflect.Int64:
		if isText {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return v, nil // texts, and maps of attribute values, which the service checks
}
