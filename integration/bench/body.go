package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/runnelhq/runnel/localstack"
)

// readBodies reads the answers and throws them away: what the endpoint can give, and the least that a reader costs.
func readBodies(ctx context.Context, _ localstack.Clients, l load, stream string) (int64, error) {
	api := "Kinesis_20131202"
	if l.API == streamsAPI {
		api = "DynamoDBStreams_20120810"
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var n int64
	for i := range l.Shards {
		for next := 0; next < l.perShard(stream); next += l.Page {
			in := `{"ShardIterator":"` + place{stream, l.shard(i), next}.String() + `"}`
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("AWS_ENDPOINT_URL_KINESIS"), strings.NewReader(in))
			if err != nil {
				return n, err
			}
			r.Header.Set("X-Amz-Target", api+".GetRecords")
			answer, err := client.Do(r)
			if err != nil {
				return n, err
			}
			read, err := io.Copy(io.Discard, answer.Body)
			if err != nil {
				return n, err
			}
			if err := answer.Body.Close(); err != nil {
				return n, err
			}
			if answer.StatusCode != http.StatusOK || read != answer.ContentLength {
				return n, fmt.Errorf("the endpoint answered %s with %d of %d bytes", answer.Status, read, answer.ContentLength)
			}
			n += int64(l.Page)
		}
	}
	return n, nil
}
