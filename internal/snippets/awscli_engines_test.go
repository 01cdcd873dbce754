//go:build engines

package snippets_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) {
	os.Exit(stacktest.Run(m, &stack)) //nolint:forbidigo // the only way to say that the stack could not be had
}

// The commands of the AWS CLI in each document succeed in their order. They are sent as the CLI sends them; the streams and tables have names of the
// test's own. What no command before has made – a lease table that the library makes, say – is there beforehand.
func TestAWSCommands(t *testing.T) {
	documents := map[string]*console{}
	for _, c := range commands(t) {
		if c.words[0] != "aws" {
			continue
		}
		parsed, err := parseAWS(c.words)
		if err != nil {
			t.Errorf("%s: %s: %v", c.At(), c, err)
			continue
		}
		at := documents[c.File]
		if at == nil {
			at = &console{suffix: "-" + rand.Text(), made: map[string]bool{}}
			documents[c.File] = at
		}
		if err := at.run(t, parsed); err != nil {
			t.Errorf("%s: %s: %v", c.At(), c, err)
		}
	}
	if documents[filepath.FromSlash("docs/getting-started.md")] == nil {
		t.Error("docs/getting-started.md has no command of the AWS CLI: nothing was run")
	}
}

// console runs the commands of one document.
type console struct {
	suffix string
	made   map[string]bool
}

func (c *console) run(t *testing.T, cmd awsCommand) error {
	t.Helper()
	for _, field := range []string{"StreamName", "TableName"} {
		name, ok := cmd.in[field].(string)
		if !ok {
			continue
		}
		cmd.in[field] = name + c.suffix
		if name == "runnel-leases" && cmd.op != "CreateTable" && !c.made[name] {
			if err := ddblease.New(stack.DynamoDB(), name+c.suffix, nil).Setup(t.Context()); err != nil {
				return err
			}
		}
		if !c.made[name] && field == "StreamName" {
			stacktest.RemoveStream(t, stack, name+c.suffix)
		} else if !c.made[name] {
			stacktest.RemoveTable(t, stack, name+c.suffix)
		}
		c.made[name] = true
	}
	switch cmd.wait {
	case "stream-exists":
		return kinesis.NewStreamExistsWaiter(stack.Kinesis(), func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second }).
			Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String(cmd.in["StreamName"].(string))}, time.Minute)
	case "table-exists":
		return dynamodb.NewTableExistsWaiter(stack.DynamoDB(), func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second }).
			Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(cmd.in["TableName"].(string))}, time.Minute)
	}
	return send(t, cmd)
}

// send makes the request, signed as the services want it.
func send(t *testing.T, cmd awsCommand) error {
	t.Helper()
	target := map[string][2]string{"kinesis": {"Kinesis_20131202", "AWS_ENDPOINT_URL_KINESIS="}, "dynamodb": {"DynamoDB_20120810", "AWS_ENDPOINT_URL_DYNAMODB="}}[cmd.service]
	url := ""
	for _, v := range stack.Env() {
		if at, ok := strings.CutPrefix(v, target[1]); ok {
			url = at
		}
	}
	body, err := json.Marshal(cmd.in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target[0]+"."+cmd.op)
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), cmd.service, "us-east-1", time.Now()); err != nil {
		return err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}
