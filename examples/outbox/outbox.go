package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
)

// order is what a record holds.
type order struct {
	Number int       `json:"number"`
	Cents  int       `json:"cents"`
	Placed time.Time `json:"placed"`
}

// charge is an intent: what the payment provider is to do, and the key by which it knows that it was asked before.
type charge struct {
	Key     string    `json:"key"`
	Arrived time.Time `json:"arrived"` // of the record in the stream
	order
}

// Kind names the intent in River's tables.
func (charge) Kind() string { return "charge" }

// intents stores the charge of each order in the transaction of the order's mark: both are there, once, or neither.
func intents(marks dedup.Effects[*sql.Tx], jobs *river.Client[*sql.Tx]) consumer.Handler {
	return consumer.Once(marks, func(ctx context.Context, tx *sql.Tx, fresh []consumer.Record) error {
		batch := make([]river.InsertManyParams, len(fresh))
		for i, r := range fresh {
			c := charge{Key: "charge " + r.ID(), Arrived: r.Arrived} // the same whenever the record comes
			if err := json.Unmarshal(r.Data, &c.order); err != nil {
				return &consumer.PartialError{Done: i, Err: consumer.Permanent(err)}
			}
			batch[i].Args = c
		}
		_, err := jobs.InsertManyTx(ctx, tx, batch) // as InsertTx does, in one statement
		return err
	})
}

// remembers is for how long after the arrival of its record an intent is tried: less than the provider remembers a key, which begins with the first attempt. Not from job.CreatedAt: where the
// record is applied again, by a reset of its shard, there is a new job with the old key.
const remembers = 23 * time.Hour

// charger does what the intents say.
type charger struct {
	river.WorkerDefaults[charge]

	provider string // its URL
	client   *http.Client
}

// Work asks the provider for a charge. It may be called again for the same job, also after the charge was made, and then it asks with the same key.
func (c *charger) Work(ctx context.Context, job *river.Job[charge]) error {
	if time.Since(job.Args.Arrived) > remembers {
		return river.JobCancel(errors.New("the provider may have forgotten the key: find out whether the charge was made"))
	}
	body, err := json.Marshal(job.Args.order)
	if err != nil {
		return river.JobCancel(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.provider, bytes.NewReader(body))
	if err != nil {
		return river.JobCancel(err)
	}
	req.Header.Set("Idempotency-Key", job.Args.Key)
	resp, err := c.client.Do(req)
	if err != nil {
		return err // it may have been made, or not
	}
	defer func() { _ = resp.Body.Close() }() // read to the end, or given up
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusBadRequest:
		return river.JobCancel(fmt.Errorf("refused: %s", answer))
	}
	return fmt.Errorf("%s: %s", resp.Status, answer)
}

// newJobs is the queue in a database, and who works on it.
func newJobs(db *sql.DB, schema string, c *charger) (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, c)
	return river.NewClient(riverdatabasesql.New(db), &river.Config{
		Schema:  schema,
		Workers: workers,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		// A job whose worker is gone is taken up again after so long. The default is an hour.
		JobTimeout: 5 * time.Second, RescueStuckJobsAfter: 6 * time.Second,
		// What was given up stays until somebody has looked at it.
		CancelledJobRetentionPeriod: -1, DiscardedJobRetentionPeriod: -1,
		SoftStopTimeout: 10 * time.Second,
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}
