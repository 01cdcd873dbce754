package snippets_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/internal/awsstub"
	"github.com/runnelhq/runnel/internal/markdown"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/lease/memlease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

var operating = filepath.Join("docs", "operating.md")

// incarnation is what a Kinesis stream has.
const incarnation = "arn:aws:kinesis:us-east-1:123456789012:stream/orders@2026-11-20T09:00:00.000Z"

// orders is a stream in memory that calls itself a Kinesis stream.
type orders struct{ *memsource.Source }

func (o orders) Stream(ctx context.Context) (consumer.Stream, error) {
	st, err := o.Source.Stream(ctx)
	st.Incarnation = incarnation
	return st, err
}

func (o orders) own(ctx context.Context) consumer.Stream {
	st, _ := o.Source.Stream(ctx) // it is never deleted
	return st
}

func (o orders) Shards(ctx context.Context, _ consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return o.Source.Shards(ctx, o.own(ctx))
}

func (o orders) Pin(ctx context.Context, _ consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return o.Source.Pin(ctx, o.own(ctx), at)
}

func (o orders) Open(ctx context.Context, _ consumer.Stream, s consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	return o.Source.Open(ctx, o.own(ctx), s, at)
}

// shownRow is how the document shows a row.
type shownRow struct {
	Key     string          `json:"key"`
	Version uint64          `json:"version"`
	Value   json.RawMessage `json:"value"`
}

// The rows that the document shows are those that a consumer makes, but for random names, counters and times.
func TestRows(t *testing.T) {
	shown := map[string]markdown.Block{}
	for _, b := range blocks(t) {
		if b.File == operating && b.Lang == "json" {
			shown[b.Heading] = b
		}
	}
	made := map[string]any{}
	for _, row := range rowsOfAConsumer(t) {
		made[kind(t, row)] = shownRow{row.Key, row.Version, row.Value}
		if kind(t, row) == "A member" {
			made["An item of DynamoDB"] = item(t, row)
		}
	}
	for heading, b := range shown {
		if _, ok := made[heading]; !ok {
			t.Errorf("%s: there is no row of the kind %q", b.At(), heading)
		}
	}
	for heading, row := range made {
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := shown[heading]
		if !ok {
			t.Errorf("%s does not show %q, which is %s", operating, heading, text)
			continue
		}
		if got, want := settled(t, []byte(b.Text)), settled(t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is\n%v, and really\n%s", b.At(), heading, got, text)
		}
	}
}

// The SQL of the documents finds the rows of a consumer.
func TestSQLIsAnswered(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "leases.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := sqllease.New(db, nil)
	if err := store.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := rowsOfAConsumer(t)
	free := rows[len(rows)-1]
	free.Key += "9"
	free.Value = regexp.MustCompile(`"owner":"[^"]+"`).ReplaceAll(free.Value, []byte(`"owner":""`))
	rows = append(rows, free)
	for i := range rows {
		rows[i].Version, rows[i].Cursor = 0, ""
	}
	if errs := store.Put(t.Context(), rows); errs != nil {
		t.Fatal(errs)
	}
	want := map[string]int{"Rows": 3, "A shard without an owner": 1}
	for _, b := range blocks(t) {
		if b.Lang != "sql" {
			continue
		}
		var found int
		query := strings.TrimSuffix(strings.TrimSpace(b.Text), ";")
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM ("+query+")").Scan(&found); err != nil || found != want[b.Heading] {
			t.Errorf("%s: under %q it finds %d shards, want %d, %v", b.At(), b.Heading, found, want[b.Heading], err)
		}
	}
}

// What the document's filter of items looks for is in a shard's value as it is stored.
func TestFilterFindsShardsWithoutOwner(t *testing.T) {
	rows := rowsOfAConsumer(t)
	owned := string(rows[len(rows)-1].Value)
	ended := string(rows[len(rows)-2].Value)
	var filters int
	for _, c := range commands(t) {
		values := slices.Index(c.words, "--expression-attribute-values")
		if !slices.Contains(c.words, "--filter-expression") || values < 0 {
			continue
		}
		filters++
		var in map[string]struct{ S string }
		if err := json.Unmarshal([]byte(c.words[values+1]), &in); err != nil {
			t.Fatal(err)
		}
		free, open := in[":free"].S, in[":open"].S
		if strings.Contains(owned, free) || !strings.Contains(ended, free) || !strings.Contains(owned, open) || strings.Contains(ended, open) {
			t.Errorf("%s: %q and %q do not tell a free shard from\n%s and\n%s", c.At(), free, open, owned, ended)
		}
	}
	if filters == 0 {
		t.Error("no document filters items")
	}
}

// kind is the heading under which a row is shown.
func kind(t *testing.T, row lease.Row) string {
	t.Helper()
	var v struct{ State, Owner string }
	if err := json.Unmarshal(row.Value, &v); err != nil {
		t.Fatal(err)
	}
	switch {
	case regexp.MustCompile(`^W/`).MatchString(row.Key):
		return "A session"
	case regexp.MustCompile(`/M/`).MatchString(row.Key):
		return "A member"
	case regexp.MustCompile(`/A$`).MatchString(row.Key):
		return "The application"
	case v.State == "ended":
		return "A shard that has ended"
	}
	return "A shard"
}

// rowsOfAConsumer are the rows that one worker makes on a stream with a shard that is split and a shard that is not.
func rowsOfAConsumer(t *testing.T) (rows []lease.Row) {
	synctest.Test(t, func(t *testing.T) {
		source := memsource.New("orders", &memsource.Config{Shards: 2})
		store := memlease.New()
		ctx, cancel := context.WithCancel(t.Context())
		c, err := consumer.New(consumer.Config{
			Name: "orders-index", Worker: "orders-1", Source: orders{source}, Leases: store,
			Handler: consumer.Each(func(context.Context, consumer.Record) error { return nil }),
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		<-time.After(10 * time.Second)
		for i := range 9 {
			if _, _, err := source.Put(strconv.Itoa(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := source.Split(source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		shards := map[string]lease.Row{}
		for _, group := range []string{"W/", "orders-index/M/", "orders-index/", shardGroup} {
			for row, err := range store.List(ctx, group, "") {
				if err != nil {
					t.Fatal(err)
				}
				if group == shardGroup {
					shards[row.Key[len(shardGroup):]] = row
				} else {
					rows = append(rows, row)
				}
			}
		}
		rows = append(rows, shards["shardId-000000000000"], shards["shardId-000000000001"])
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return rows
}

const shardGroup = "orders-index/S/arn:aws:kinesis:us-east-1:123456789012:stream%2Forders@2026-11-20T09:00:00.000Z/"

// item is the row as ddblease writes it.
func item(t *testing.T, row lease.Row) any {
	t.Helper()
	service := &awsstub.Service{Answer: func(awsstub.Call) awsstub.Answer { return awsstub.OK(struct{}{}) }}
	row.Version, row.Cursor = 0, ""
	if errs := ddblease.New(dynamodb.NewFromConfig(service.Config()), "runnel-leases", nil).Put(t.Context(), []lease.Row{row}); errs != nil {
		t.Fatal(errs)
	}
	return service.Calls("PutItem")[0].In["Item"]
}

// settled replaces what is another at every time: the random part of a session's name, counters and times.
func settled(t *testing.T, text []byte) any {
	t.Helper()
	for _, r := range []struct{ from, to string }{
		{`-[0-9a-f]{32}`, "-RANDOM"},
		{`"(version|hb|claims)": ?\d+`, `"$1":0`},
		{`"started": ?"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`, `"started":""`},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z-[0-9a-f]{8}`, "CURSOR"},
	} {
		text = regexp.MustCompile(r.from).ReplaceAll(text, []byte(r.to))
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
