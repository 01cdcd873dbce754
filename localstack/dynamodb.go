package localstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// DynamoDB is a DynamoDB Local of one's own, for tests that move all of its tables: in shards or in time. Its Clients
// have no Kinesis.
type DynamoDB struct {
	Clients
	admin string
	part  *process
}

// StartDynamoDB starts DynamoDB Local under java, whatever the kind of the stack, in one to two seconds and 150 MB of
// memory. An error that matches ErrMissing tells how to install it.
func StartDynamoDB(ctx context.Context, o Options) (*DynamoDB, error) {
	o = o.withDefaults()
	if err := o.missing(dynamoDBLocal); err != nil {
		return nil, fmt.Errorf("localstack: %w", err)
	}
	d := &DynamoDB{}
	err := onFreePorts(ctx, 2, func(ports []string) error {
		folder, err := os.MkdirTemp("", "runnel-dynamodb-*")
		if err != nil {
			return err
		}
		lib := o.path(dynamoDBLocal, "lib")
		argv := append([]string{"java", "-Djava.io.tmpdir=" + folder, "-Djava.library.path=" + lib}, javaFlags...)
		argv = append(argv, "-cp", o.path(dynamoDBLocal)+string(filepath.ListSeparator)+filepath.Join(lib, "*"),
			"DynamoLocal", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", ports[0])
		p, err := launch(ctx, o, "dynamodb-local", folder, folder, []string{"RUNNEL_ADMIN_PORT=" + ports[1]}, argv...)
		if err != nil {
			return err
		}
		url := "http://127.0.0.1:" + ports[0]
		d.part, d.admin = p, "http://127.0.0.1:"+ports[1]
		d.Clients = localClients(endpoints{DynamoDB: url, Streams: url})
		return p.ready(ctx, o, d.Clients)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close ends DynamoDB Local and removes its files.
func (d *DynamoDB) Close() error {
	d.CloseIdleConnections()
	return d.part.stop()
}

// Rollover closes every open shard of every stream and opens its child, as AWS does about every four hours.
func (d *DynamoDB) Rollover(ctx context.Context) error { return d.command(ctx, "/rollover") }

// Dilate makes the records of every stream older by by, in whole milliseconds and more than none. Iterators taken
// before expire, however short the time; records older than 24 hours are trimmed; closed shards without others vanish.
func (d *DynamoDB) Dilate(ctx context.Context, by time.Duration) error {
	return d.command(ctx, "/dilate/"+strconv.FormatInt(by.Milliseconds(), 10))
}

func (d *DynamoDB) command(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+path, nil)
	if err != nil {
		return fmt.Errorf("localstack: dynamodb-local %s: %w", path, err)
	}
	resp, err := d.base.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("localstack: dynamodb-local %s: %w", path, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("localstack: dynamodb-local %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("localstack: dynamodb-local %s: %s: %s", path, resp.Status, body)
	}
	return nil
}
