//go:build engines

package snippets_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/runnelhq/runnel/internal/stacktest"
)

var (
	quickstart = "." + string(filepath.Separator) + filepath.Join(root, "examples", "quickstart")
	brief      = []string{"-records", "600", "-over", "1s", "-kill=false"}
)

const applied = "applied 600 of 600 records, 0 lost, 0 applied twice"

// The quickstart makes its stream at an endpoint; the demo has it do so with -create. A second run, without either, needs the permissions that are
// documented for the source and the producer, and no other.
func TestQuickstartOnKinesis(t *testing.T) {
	name := "votes-" + rand.Text()
	stacktest.RemoveStream(t, stack, name)
	open := stacktest.NewGate(t, stack, nil)
	p := stacktest.Start(t, quickstart, nil, append(brief, "-dir", t.TempDir(), "-kinesis", name, "-endpoint", open.URL)...)
	p.Wait(t)
	p.Await(t, applied)

	p, gate := onVotes(t, name, "Kinesis source", "-kinesis")
	p.Await(t, applied)
	gate.Expect(t, "dynamodb:PutItem on arn:aws:dynamodb:REGION:ACCOUNT:table/"+name)
}

// The same on a table.
func TestQuickstartOnDynamoDB(t *testing.T) {
	name := "votes-" + rand.Text()
	stacktest.RemoveTable(t, stack, name)
	open := stacktest.NewGate(t, stack, nil)
	p := stacktest.Start(t, quickstart, nil, append(brief, "-dir", t.TempDir(), "-dynamodb", name, "-endpoint", open.URL)...)
	p.Wait(t)
	p.Await(t, applied)

	p, gate := onVotes(t, name, "DynamoDB Streams source", "-dynamodb")
	p.Await(t, applied)
	gate.Expect(t, "kinesis:PutRecords on arn:aws:kinesis:REGION:ACCOUNT:stream/"+name)
}

// onVotes runs the quickstart to its end, allowed what is documented for a source and the producer.
func onVotes(t *testing.T, name, source, flag string) (*stacktest.Program, *stacktest.Gate) {
	t.Helper()
	gate := stacktest.NewGate(t, stack, map[string]string{"orders": name, "customers": name, "votes": name}, source, "Producer")
	p := stacktest.Start(t, quickstart, gate.Env(), append(brief, "-dir", t.TempDir(), flag, name)...)
	p.Wait(t)
	return p, gate
}
