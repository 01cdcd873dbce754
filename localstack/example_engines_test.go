//go:build engines

package localstack_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/runnelhq/runnel/localstack"
)

func ExampleStart() {
	ctx := context.Background()
	s, err := localstack.Start(ctx, localstack.Options{Kind: localstack.Engines})
	if err != nil {
		log.Print(err)
		return
	}
	streams, err := s.Kinesis().ListStreams(ctx, nil)
	if err == nil {
		fmt.Println("streams:", len(streams.StreamNames))
	}
	if err := s.Close(); err != nil {
		log.Print(err)
	}
	// Output: streams: 0
}

func ExampleStartDynamoDB() {
	ctx := context.Background()
	d, err := localstack.StartDynamoDB(ctx, localstack.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	if err := d.Rollover(ctx); err == nil {
		fmt.Println("every open shard has a child")
	}
	if err := d.Close(); err != nil {
		log.Print(err)
	}
	// Output: every open shard has a child
}

func ExampleStartPostgres() {
	ctx := context.Background()
	p, err := localstack.StartPostgres(ctx, localstack.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	db, err := sql.Open("pgx", p.URL) // import _ "github.com/jackc/pgx/v5/stdlib"
	if err == nil {
		fmt.Println("ping:", db.PingContext(ctx), db.Close())
	}
	if err := p.Close(); err != nil {
		log.Print(err)
	}
	// Output: ping: <nil> <nil>
}
