package consumer

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// What the comments on the fields of Config promise for their zero values.
func TestDefaults(t *testing.T) {
	c := Config{Handler: HandlerFunc(nil)}.withDefaults()
	for field, v := range map[string]struct{ got, want any }{
		"Batch.Size of batches": {c.Batch.Size, 1000},
		"Batch.Size of Each":    {Config{Handler: Each(nil)}.withDefaults().Batch.Size, 1},
		"Checkpoint records":    {c.Checkpoint.(checkpoint.Any)[0], checkpoint.EveryN(1000)},
		"Checkpoint interval":   {c.Checkpoint.(checkpoint.Any)[1], checkpoint.Every(5 * time.Second)},
		"Failure.Backoff":       {c.Failure.Backoff, 100 * time.Millisecond},
		"Failure.MaxBackoff":    {c.Failure.MaxBackoff, 30 * time.Second},
		"Flow.Records":          {c.Flow.Records, 20_000},
		"Flow.Budget":           {c.Flow.Budget.limit, int64(64 << 20)},
		"Stop.Drain":            {c.Stop.Drain, 30 * time.Second},
		"Stop.Grace":            {c.Stop.Grace, 5 * time.Second},
	} {
		if v.got != v.want {
			t.Errorf("%s is %v by default, and documented as %v", field, v.got, v.want)
		}
	}
}
