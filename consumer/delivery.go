package consumer

import (
	"fmt"
	"reflect"

	"github.com/runnelhq/runnel/dedup"
)

// Delivery is how often a record may take effect.
type Delivery int

const (
	// AtLeastOnce hands a record out until it is done: after a crash some come again. With a [Config].Sink the effects in it stand once all the same. The default.
	AtLeastOnce Delivery = iota
	// AtMostOnce stores the position of what was read before any of it is handed out, and hands nothing out twice: what a worker has read and not handled when it dies, or when the time for the drain is over, is lost, and nothing
	// reports it: up to two pages a shard with PerShard, on Kinesis of 10,000 records or 10 MiB each, and in any order up to Flow.Records a shard. A record that fails is given up at once. It needs Failure.Then Skip or DeadLetter, and takes no checkpoint strategy: a position is stored for each page that holds records.
	AtMostOnce
	// ExactlyOnce is AtLeastOnce with a [Config].Sink, and is refused where the promise could not be kept: each effect that the handler writes through the sink stands once.
	ExactlyOnce
)

// String is the constant's name.
func (d Delivery) String() string {
	switch d {
	case AtLeastOnce:
		return "AtLeastOnce"
	case AtMostOnce:
		return "AtMostOnce"
	case ExactlyOnce:
		return "ExactlyOnce"
	}
	return "unknown"
}

// scope is by what a sink tells the repeats of records that are handled in an order.
func (o Order) scope() dedup.Scope {
	switch o.By {
	case PerKey:
		return dedup.PerKey
	case Unordered:
		return dedup.PerID
	}
	return dedup.PerShard
}

func (c Config) deliveryFaults(refuse refusal) {
	refuse(c.Delivery < AtLeastOnce || c.Delivery > ExactlyOnce, "Delivery", "is %d: use consumer.AtLeastOnce, AtMostOnce or ExactlyOnce", c.Delivery)
	refuse(c.Delivery == ExactlyOnce && c.Sink == nil, "Sink", "is nil, and Delivery is ExactlyOnce: have the handler be made by consumer.Once, or give the sink with which it calls Apply, such as sqldedup.New(db, nil)")
	if c.Delivery == AtMostOnce {
		c.atMostOnceFaults(refuse)
		return
	}
	if c.Sink == nil {
		return
	}
	if h, ok := c.Handler.(sinking); ok && !h.empty() {
		refuse(!same(h.sink(), c.Sink), "Sink", "is another than that of the handler made by consumer.Once: leave it out")
	}
	if s := c.Order.scope(); !c.Sink.Terms().Keeps(s) {
		refuse(true, "Order.By", "is %s, and Config.Sink, %T, tells no repeats %s: use another order, or another sink", c.Order.By, c.Sink, s)
	}
}

func (c Config) atMostOnceFaults(refuse refusal) {
	f := c.Failure
	refuse(c.Sink != nil, "Sink", "is given, and Delivery is AtMostOnce, which repeats nothing: use consumer.AtLeastOnce or ExactlyOnce, or leave it out")
	refuse(c.Checkpoint != nil, "Checkpoint", "is given, and Delivery is AtMostOnce, which stores each position before its records are handled: leave it out")
	refuse(f.Then != Skip && f.Then != DeadLetter, "Failure.Then", "is %s, and Delivery is AtMostOnce, which tries nothing again: use consumer.Skip or DeadLetter", f.Then)
	refuse(f.MaxAttempts > 1, "Failure.MaxAttempts", "is %d, and Delivery is AtMostOnce: leave it out", f.MaxAttempts)
	refuse(f.Split == Bisect, "Failure.Split", "is Bisect, which hands records out again, and Delivery is AtMostOnce: leave it out")
}

// same tells whether two sinks are one, as far as they can be compared.
func same(a, b dedup.Sink) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && (!reflect.ValueOf(a).Comparable() || !reflect.ValueOf(b).Comparable() || a == b)
}

// deliverable checks what only the service knows.
func (c *Consumer) deliverable(st Stream) error {
	if c.cfg.Sink == nil || c.cfg.Order.scope() != dedup.PerID {
		return nil
	}
	if ttl := c.cfg.Sink.Terms().TTL; ttl > 0 && st.Retention > ttl {
		return fmt.Errorf("consumer: Config.Sink keeps marks of records for %v, and stream %s holds records for %v: a record that comes again later would be applied twice; give the sink a longer time", ttl, st.Name, st.Retention)
	}
	return nil
}
