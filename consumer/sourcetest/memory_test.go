package sourcetest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/internal/backoff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) { Run(t, memory(func(*Stream, *memsource.Source) {})) }

// memory is the driver of sources in memory, each of them bent by a fault.
func memory(bend func(s *Stream, m *memsource.Source)) Driver {
	return Driver{
		New: func(_ testing.TB, shards int) *Stream {
			m := memsource.New("orders", &memsource.Config{Shards: shards, Poll: 2 * time.Millisecond})
			s := streamOf(m)
			bend(s, m)
			return s
		},
		Missing: func(testing.TB) consumer.Source {
			m := memsource.New("nothing", nil)
			m.Delete()
			s := streamOf(m)
			bend(s, m)
			return s.Source()
		},
	}
}

func streamOf(m *memsource.Source) *Stream {
	return &Stream{
		Source: func() consumer.Source { return m },
		Put: func(_ context.Context, key string, value []byte) error {
			_, _, err := m.Put(key, value)
			return err
		},
		Roll: func(_ context.Context, shard string) error {
			_, _, err := m.Split(shard)
			return err
		},
		Merge: func(_ context.Context, a, b string) error {
			_, err := m.Merge(a, b)
			return err
		},
		Expire: func(context.Context) error {
			m.Inject(memsource.Fault{Expire: true, Times: 1})
			return nil
		},
		Trim:   func(context.Context) error { return m.Trim(m.OpenShards()[0], checkpoint.End()) },
		Delete: func(context.Context) error { m.Delete(); return nil },
		Create: func(context.Context) error { m.Create(); return nil },
		Pass:   backoff.Wait,
		PutAggregate: func(_ context.Context, key string, values ...[]byte) error {
			_, err := m.PutAggregate(m.OpenShards()[0], key, values...)
			return err
		},
	}
}
