//go:build engines

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/localstack"
)

// The votes are changes of a table at an endpoint, and so are the leases; the program is killed in the middle. (Both kinds of stream together, with a
// worker that is killed, are what the demo's test is about.)
func TestQuickstartOnATable(t *testing.T) {
	db, err := localstack.StartDynamoDB(t.Context(), localstack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	const variable = "AWS_ENDPOINT_URL_DYNAMODB="
	env := db.Env()
	endpoint := strings.TrimPrefix(env[slices.IndexFunc(env, func(s string) bool { return strings.HasPrefix(s, variable) })], variable)
	dir := t.TempDir()
	flags := []string{"-dir", dir, "-records", "1200", "-over", "6s", "-kill=false", "-dynamodb", "voters", "-leases", "leases", "-endpoint", endpoint}

	p := start(t, flags...)
	p.await(`applied [1-9]\d* of 1200`)
	stranger := &dynamodb.PutItemInput{TableName: new("voters"), Item: map[string]types.AttributeValue{
		"voter": &types.AttributeValueMemberS{Value: "a stranger"},
	}}
	if _, err := db.DynamoDB().PutItem(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	p.signal(os.Kill)
	p.end(-1)

	p = start(t, flags...)
	p.await(`^1 records on the streams are not of this run`)
	p.await(`^applied 1200 of 1200 records, 0 lost, 0 applied twice, \d+ redelivered, no worker killed$`)
	p.end(0)

	// What the tally holds is no use without its stream.
	if _, err := db.DynamoDB().DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: new("voters")}); err != nil {
		t.Fatal(err)
	}
	if said := start(t, flags...).end(1); !strings.Contains(said, "was made anew since this run began") {
		t.Errorf("on another table it says\n%s", said)
	}

	// Where nothing says that the endpoint is one's own, nothing is made.
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	p = start(t, "-dir", t.TempDir(), "-dynamodb", "nobodys")
	if said := p.end(1); !strings.Contains(said, "aws dynamodb create-table --table-name nobodys") {
		t.Errorf("without the table it says\n%s", said)
	}
}
