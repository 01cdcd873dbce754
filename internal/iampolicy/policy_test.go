package iampolicy_test

import (
	"testing"

	"github.com/runnelhq/runnel/internal/iampolicy"
)

const text = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
	"Action": ["dynamodb:GetRecords", "dynamodb:DescribeStream"], "Resource": ["arn:aws:dynamodb:REGION:ACCOUNT:table/a/stream/*"]}]}`

func TestAllows(t *testing.T) {
	p, err := iampolicy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action, resource string
		want             bool
	}{
		{"dynamodb:GetRecords", "arn:aws:dynamodb:REGION:ACCOUNT:table/a/stream/2026-11-22T10:00:00.000", true},
		{"dynamodb:GetRecords", "", true},
		{"dynamodb:GetRecords", "arn:aws:dynamodb:REGION:ACCOUNT:table/a", false},
		{"dynamodb:GetRecords", "arn:aws:dynamodb:REGION:ACCOUNT:table/ab/stream/1", false},
		{"dynamodb:PutItem", "arn:aws:dynamodb:REGION:ACCOUNT:table/a/stream/1", false},
	} {
		if got := p.Statement[0].Allows(c.action, c.resource); got != c.want {
			t.Errorf("%s on %q: %v, want %v", c.action, c.resource, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		``,
		`{"Version": "2012-10-17", "Statement": []}`,
		`{"Version": "2008-10-17", "Statement": [{"Effect": "Allow", "Action": ["kinesis:GetRecords"], "Resource": ["arn:aws:kinesis:REGION:ACCOUNT:stream/a"]}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kinesis:*"], "Resource": ["arn:aws:kinesis:REGION:ACCOUNT:stream/a"]}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kinesis:GetRecords"], "Resource": ["*"]}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kinesis:GetRecords"], "Resource": ["arn:aws:kinesis:REGION:stream/a"]}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Actions": ["kinesis:GetRecords"], "Resource": ["arn:aws:kinesis:REGION:ACCOUNT:stream/a"]}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["kinesis:GetRecords"], "Resource": ["arn:aws:kinesis:REGION:ACCOUNT:stream/a"]}]}`,
	} {
		if _, err := iampolicy.Parse(text); err == nil {
			t.Errorf("no error for %s", text)
		}
	}
}
