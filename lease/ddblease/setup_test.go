package ddblease

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/lease"
)

// description is the table that Setup makes, in a status. Each replacement, old and new, changes its text.
func description(status, indexStatus string, replacements ...string) reply {
	return reply{body: strings.NewReplacer(replacements...).Replace(fmt.Sprintf(`{"Table":{
		"TableName":"leases", "TableStatus":%q,
		"AttributeDefinitions":[{"AttributeName":"g","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"c","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"k","KeyType":"RANGE"}],
		"GlobalSecondaryIndexes":[{"IndexName":"changes","IndexStatus":%q,
			"KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],
			"Projection":{"ProjectionType":"KEYS_ONLY"}}]
	}}`, status, indexStatus))}
}

var (
	missing = reply{code: "ResourceNotFoundException"}
	inUse   = reply{code: "ResourceInUseException"}
)

func TestSetupMakesAMissingTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := storeOn(in(missing, reply{}, description("CREATING", "CREATING"), description("ACTIVE", "ACTIVE")), nil)
		if err := s.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := sent.ops(), []string{"DescribeTable", "CreateTable", "DescribeTable", "DescribeTable"}; !slices.Equal(got, want) {
			t.Fatalf("sent %v; want %v", got, want)
		}
		sameJSON(t, "CreateTable", sent.requests[1].body, `{
			"TableName":"leases", "BillingMode":"PAY_PER_REQUEST",
			"AttributeDefinitions":[{"AttributeName":"g","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"c","AttributeType":"S"}],
			"KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"k","KeyType":"RANGE"}],
			"GlobalSecondaryIndexes":[{"IndexName":"changes",
				"KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],
				"Projection":{"ProjectionType":"KEYS_ONLY"}}]
		}`)
	})
}

// Another worker makes the table in the same instant, and DescribeTable, which is eventually consistent, does not see it yet.
func TestSetupLosesTheRaceForTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := storeOn(in(missing, inUse, missing, inUse, description("CREATING", "CREATING"), description("ACTIVE", "ACTIVE")), nil)
		if err := s.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(sent.ops()); got != 6 {
			t.Fatalf("sent %v; want six requests", sent.ops())
		}
	})
}

func TestSetupWaitsUntilTheTableIsReady(t *testing.T) {
	for name, unready := range map[string]reply{
		"table being made":    description("CREATING", "CREATING"),
		"table being updated": description("UPDATING", "ACTIVE"),
		"index being made":    description("ACTIVE", "CREATING"),
		"index being updated": description("ACTIVE", "UPDATING"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sent := storeOn(in(unready, unready, unready, description("ACTIVE", "ACTIVE")), nil)
				if err := s.Setup(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := len(sent.ops()); got != 4 {
					t.Fatalf("returned after %v; want four looks", sent.ops())
				}
			})
		})
	}
}

func TestSetupMakesATableAnewThatIsBeingDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deleting := description("DELETING", "DELETING")
		s, sent := storeOn(in(deleting, deleting, missing, reply{}, description("ACTIVE", "ACTIVE")), nil)
		if err := s.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(sent.ops(), "CreateTable") {
			t.Fatalf("sent %v; want a CreateTable", sent.ops())
		}
	})
}

func TestSetupWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := storeOn(in(description("CREATING", "CREATING")), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		err := s.Setup(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `table "leases": wait until it is active`) {
			t.Fatalf("%v; want the deadline, the table and what was waited for", err)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Fatalf("took %v; want its minute", took)
		}
	})
}

func TestSetupOnlyChecksATableThatMustExist(t *testing.T) {
	s, sent := storeOn(in(missing), &Config{MustExist: true})
	err := s.Setup(t.Context())
	if err == nil || !strings.Contains(err.Error(), `table "leases" does not exist`) || !strings.Contains(err.Error(), "Config.MustExist") {
		t.Fatalf("%v; want an error that names table and field", err)
	}
	if errors.Is(err, lease.ErrTable) {
		t.Fatalf("%v is lease.ErrTable, which is for tables that are there", err)
	}
	if got := sent.ops(); !slices.Equal(got, []string{"DescribeTable"}) {
		t.Fatalf("sent %v; want to look only", got)
	}
	s, _ = storeOn(in(description("ACTIVE", "ACTIVE")), &Config{MustExist: true})
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ = storeOn(in(description("ACTIVE", "ACTIVE", `"RANGE"`, `"HASH"`)), &Config{MustExist: true})
	if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrTable) {
		t.Fatalf("%v; want lease.ErrTable", err)
	}
}

func TestSetupRefusesAnotherTable(t *testing.T) {
	const replica = `"TableStatus":"ACTIVE","Replicas":[{"RegionName":"us-east-1","ReplicaStatus":"ACTIVE"}]`
	for name, c := range map[string]struct {
		replacements []string
		want         string
	}{
		"other hash key":     {[]string{`"g"`, `"leaseKey"`}, "its key is HASH leaseKey (S), RANGE k (S); want HASH g (S), RANGE k (S)"},
		"other range key":    {[]string{`"k"`, `"name"`}, "its key is HASH g (S), RANGE name (S)"},
		"no range key":       {[]string{`,{"AttributeName":"k","KeyType":"RANGE"}`, ``}, "its key is HASH g (S); want"},
		"range key a number": {[]string{`"k","AttributeType":"S"`, `"k","AttributeType":"N"`}, "its key is HASH g (S), RANGE k (N)"},
		"other index":        {[]string{`"changes"`, `"change"`}, `it has no global secondary index "changes"`},
		"index on others":    {[]string{`"c","KeyType"`, `"v","KeyType"`}, `the key of its index "changes" is HASH g (S), RANGE v ()`},
		"cursor a number":    {[]string{`"c","AttributeType":"S"`, `"c","AttributeType":"N"`}, `the key of its index "changes" is HASH g (S), RANGE c (N)`},
		"index of all":       {[]string{`KEYS_ONLY`, `ALL`}, `its index "changes" projects more than the keys`},
		"index going":        {[]string{`"IndexStatus":"ACTIVE"`, `"IndexStatus":"DELETING"`}, `its index "changes" is being deleted`},
		"replicated":         {[]string{`"TableStatus":"ACTIVE"`, replica}, "it is replicated across regions, where the last writer wins"},
		"replicated, said so": {
			[]string{`"TableStatus":"ACTIVE"`, replica + `,"MultiRegionConsistency":"EVENTUAL"`}, "it is replicated across regions",
		},
		"replicated of old": {[]string{`"TableStatus":"ACTIVE"`, `"TableStatus":"ACTIVE","GlobalTableVersion":"2017.11.29"`}, "it is replicated across regions"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sent := storeOn(in(description("ACTIVE", "ACTIVE", c.replacements...)), nil)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := s.Setup(ctx)
				if !errors.Is(err, lease.ErrTable) {
					t.Fatalf("%v; want lease.ErrTable", err)
				}
				for _, want := range []string{`table "leases"`, c.want, "use another name"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v; want it to say %q", err, want)
					}
				}
				if got := sent.ops(); !slices.Equal(got, []string{"DescribeTable"}) {
					t.Errorf("sent %v; want to look only", got)
				}
			})
		})
	}
}

func TestSetupNamesAllDifferences(t *testing.T) {
	s, _ := storeOn(in(description("ACTIVE", "ACTIVE", `"k"`, `"id"`, `KEYS_ONLY`, `ALL`)), nil)
	err := s.Setup(t.Context())
	if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), "RANGE id") || !strings.Contains(err.Error(), "projects more") {
		t.Fatalf("%v; want key and projection", err)
	}
}

func TestSetupAcceptsATableThatIsMoreThanItNeeds(t *testing.T) {
	for name, replacements := range map[string][]string{
		"strong consistency across regions": {`"TableStatus"`, `"Replicas":[{"RegionName":"us-east-1"}],"MultiRegionConsistency":"STRONG","GlobalTableVersion":"2019.11.21","TableStatus"`},
		"provisioned":                       {`"TableStatus"`, `"BillingModeSummary":{"BillingMode":"PROVISIONED"},"TableStatus"`},
		"another index":                     {`"GlobalSecondaryIndexes":[`, `"GlobalSecondaryIndexes":[{"IndexName":"mine","IndexStatus":"CREATING"},`},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := storeOn(in(description("ACTIVE", "ACTIVE", replacements...)), nil)
			if err := s.Setup(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSetupDoesNotWaitForATableThatWillNotBeReady(t *testing.T) {
	for _, status := range []string{"ARCHIVED", "ARCHIVING", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, _ := storeOn(in(description(status, "ACTIVE")), nil)
			if err := s.Setup(ctx); err == nil || !strings.Contains(err.Error(), "its status is "+status) {
				t.Errorf("%v; want the status %s", err, status)
			}
		})
	}
	s, _ := storeOn(in(reply{}), nil)
	if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "is the endpoint DynamoDB's?") {
		t.Errorf("%v; want doubt of an endpoint that answers {}", err)
	}
}

func TestADeniedRequestNamesItsPermission(t *testing.T) {
	denied := reply{code: "AccessDeniedException", body: `{"Message":"User: arn:aws:iam::123456789012:user/x is not authorized"}`}
	row := lease.Row{Key: "a/row", Value: []byte(`{}`)}
	for name, c := range map[string]struct {
		answers []reply
		call    func(context.Context, *Store) error
	}{
		"DescribeTable": {[]reply{denied}, func(ctx context.Context, s *Store) error { return s.Setup(ctx) }},
		"CreateTable":   {[]reply{missing, denied}, func(ctx context.Context, s *Store) error { return s.Setup(ctx) }},
		"BatchGetItem":  {[]reply{denied}, func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, []string{"a/row"}); return err }},
		"Query":         {[]reply{denied}, func(ctx context.Context, s *Store) error { return last(s.List(ctx, "a/", "")) }},
		"PutItem":       {[]reply{denied}, func(ctx context.Context, s *Store) error { return errors.Join(s.Put(ctx, []lease.Row{row})...) }},
		"DeleteItem":    {[]reply{denied}, func(ctx context.Context, s *Store) error { return errors.Join(s.Delete(ctx, []lease.Row{row})...) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, sent := storeOn(in(c.answers...), nil)
			err := c.call(t.Context(), s)
			if !errors.Is(err, lease.ErrDenied) {
				t.Errorf("%v; want lease.ErrDenied", err)
			}
			if err == nil || !strings.Contains(err.Error(), "allow dynamodb:"+name+" ") || !strings.Contains(err.Error(), "user/x is not authorized") {
				t.Fatalf("%v; want it to name dynamodb:%s and the service's reason", err, name)
			}
			if errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrConflict) {
				t.Fatalf("%v matches an error that it is not", err)
			}
			if got := len(sent.ops()); got != len(c.answers) {
				t.Fatalf("sent %v; want no retry", sent.ops())
			}
		})
	}
}

func TestSetupWithoutRegionCredentialsOrEndpointSaysSo(t *testing.T) {
	id := credentials.NewStaticCredentialsProvider("id", "secret", "")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options dynamodb.Options
		want    string
	}{
		"region":      {dynamodb.Options{Credentials: id}, "Missing Region"},
		"credentials": {dynamodb.Options{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("", "", "")}, "static credentials are empty"},
		"endpoint": {
			dynamodb.Options{Region: "eu-west-1", Credentials: id, BaseEndpoint: aws.String("http://" + nobody), Retryer: aws.NopRetryer{}},
			"connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := New(dynamodb.New(c.options), table, nil).Setup(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `table "leases"`) {
				t.Fatalf("%v; want %q and the table", err, c.want)
			}
		})
	}
	for _, s := range []*Store{New(nil, table, nil), New(client(&service{}), "", nil)} {
		if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "New needs a client and the name of a table") {
			t.Errorf("%v; want what New lacks", err)
		}
	}
}
