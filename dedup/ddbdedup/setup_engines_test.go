//go:build engines

package ddbdedup_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

func TestManySinksMakeOneTable(t *testing.T) {
	d := newDatabase(t)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = ddbdedup.New(d.client, d.marks, &ddbdedup.Config{TTL: time.Hour}).Setup(t.Context()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := ddbdedup.New(d.client, d.marks, &ddbdedup.Config{MustExist: true, TTL: time.Hour}).Setup(t.Context()); err != nil {
		t.Errorf("the table that Setup made does not pass its check: %v", err)
	}
	out, err := d.client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &d.marks})
	if err != nil || aws.ToString(out.TimeToLiveDescription.AttributeName) != "x" {
		t.Errorf("%+v, %v; want a time to live of x", out, err)
	}
}

func TestATableThatCannotBeUsedIsRefused(t *testing.T) {
	d := newDatabase(t)
	if err := ddbdedup.New(d.client, d.counters, nil).Setup(t.Context()); !errors.Is(err, ddbdedup.ErrTable) || !strings.Contains(err.Error(), "HASH name (S)") {
		t.Errorf("another's: %v; want ErrTable and its key", err)
	}
	if err := ddbdedup.New(d.client, d.marks, &ddbdedup.Config{MustExist: true}).Setup(t.Context()); !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("a missing one: %v; want dedup.ErrUnavailable", err)
	}
	if err := ddbdedup.New(d.client, d.marks, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ddbdedup.New(d.client, d.marks, &ddbdedup.Config{MustExist: true, TTL: time.Hour}).Setup(t.Context()); !errors.Is(err, ddbdedup.ErrTable) {
		t.Errorf("one that keeps all: %v; want ErrTable", err)
	}
}

func TestASinkThatIsDeniedSaysSo(t *testing.T) {
	d := newDatabase(t)
	m := marked(dedup.PerShard, 1, 1)
	s := d.sealed(t, nil, m)
	d.wire.on(denied)
	if _, err := d.count(t.Context(), s, m); !errors.Is(err, ddbdedup.ErrDenied) || !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("%v; want ErrDenied and dedup.ErrUnavailable", err)
	}
}

// What expires is marks of PerID alone.
func TestMarksOfIDsExpire(t *testing.T) {
	d := newDatabase(t)
	s := d.sink(t, &ddbdedup.Config{TTL: time.Hour})
	if got := s.Terms().TTL; got != time.Hour {
		t.Errorf("TTL is %v", got)
	}
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID} {
		m := marked(scope, uint64(scope)+1, 1)
		m.Shard = scope.String()
		if _, err := s.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		m.Position = checkpoint.Offset(2)
		if _, err := d.count(t.Context(), s, m); err != nil {
			t.Fatal(err)
		}
	}
	all, err := d.items(t.Context(), d.marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range all {
		p := it["p"].(*types.AttributeValueMemberS).Value
		if _, expires := it["x"]; expires != strings.Contains(p, " id ") {
			t.Errorf("%s expires: %t", p, expires)
		}
	}
}
