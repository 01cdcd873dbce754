// Package iampolicy reads the IAM policies of the documentation, so that tests can hold them against what the code asks of AWS. It knows what
// those policies use: statements that allow actions on resources, and wildcards.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/runnelhq/runnel/internal/markdown"
)

// Policy is a policy document.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement allows each of its actions on each of its resources.
type Statement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource []string
}

// Parse reads a policy document and refuses what AWS, or this package, would not understand.
func Parse(text string) (Policy, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var p Policy
	if err := d.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("not a policy: %w", err)
	}
	faults := []error{}
	if p.Version != "2012-10-17" {
		faults = append(faults, fmt.Errorf("version %q", p.Version))
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" || len(s.Action) == 0 || len(s.Resource) == 0 {
			faults = append(faults, fmt.Errorf("statement %q must allow actions on resources", s.Sid))
		}
		for _, a := range s.Action {
			if !action.MatchString(a) {
				faults = append(faults, fmt.Errorf("action %q", a))
			}
		}
		for _, r := range s.Resource {
			if !resource.MatchString(r) {
				faults = append(faults, fmt.Errorf("resource %q", r))
			}
		}
	}
	if len(p.Statement) == 0 {
		faults = append(faults, errors.New("no statement"))
	}
	return p, errors.Join(faults...)
}

// The forms of an action and of a resource, in the services at hand:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html and …/list_amazondynamodb.html.
var (
	action   = regexp.MustCompile(`^(kinesis|dynamodb):[A-Z][A-Za-z]+$|^kms:(Decrypt|GenerateDataKey)$`)
	resource = regexp.MustCompile(`^arn:aws:(kinesis:REGION:ACCOUNT:stream/[\w.-]+\*?|dynamodb:REGION:ACCOUNT:table/[\w.-]+\*?(/(stream/\*|index/[\w.-]+))?|kms:REGION:ACCOUNT:key/[\w-]+)$`)
)

// Allows tells whether a statement allows the action on the resource. An empty resource is one that a request does not name.
func (s Statement) Allows(action, resource string) bool {
	for _, a := range s.Action {
		if a != action {
			continue
		}
		for _, r := range s.Resource {
			if resource == "" || pattern(r).MatchString(resource) {
				return true
			}
		}
	}
	return false
}

func pattern(resource string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(resource), `\*`, ".*") + "$")
}

// Document is where the policies stand, relative to the root of the module.
const Document = "docs/getting-started.md"

// Documented are the policies of the documentation by the headings that they stand under.
func Documented() (map[string]Policy, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("iampolicy: the place of this file is unknown")
	}
	_, blocks, err := markdown.Read(filepath.Join(filepath.Dir(here), "..", "..", filepath.FromSlash(Document)))
	if err != nil {
		return nil, err
	}
	policies := map[string]Policy{}
	for _, b := range blocks {
		if b.Lang != "json" || !strings.Contains(b.Text, "Statement") {
			continue
		}
		p, err := Parse(b.Text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.At(), err)
		}
		if _, twice := policies[b.Heading]; twice {
			return nil, fmt.Errorf("%s: the second policy under %q", b.At(), b.Heading)
		}
		policies[b.Heading] = p
	}
	return policies, nil
}
