package deadletter

import (
	"cmp"
	"context"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
)

// line is the letters of a key in the order in which they are redriven: that of the stream, which is not always that in which they were stored. A worker that crashed after it had
// parked the key has its successor read again what came before the letter that parked it, and store that behind it.
type line struct {
	waiting []waiting
	after   uint64 // the highest Seq that was read
	shards  []string
}

// waiting is a letter in line.
type waiting struct {
	id         string
	shard      int // its place among the shards: what continues a shard is read after it
	generation uint64
	position   checkpoint.Position
	seq        uint64
}

func (w waiting) compare(o waiting) int {
	return cmp.Or(cmp.Compare(w.shard, o.shard), cmp.Compare(w.generation, o.generation), w.position.Compare(o.position), cmp.Compare(w.seq, o.seq))
}

// extend reads what was stored since.
func (l *line) extend(ctx context.Context, s Store, q Query) error {
	q.After, q.Heads = l.after, true
	for letter, err := range s.Read(ctx, q) {
		if err != nil {
			return err
		}
		l.after = max(l.after, letter.Seq)
		shard := slices.Index(l.shards, letter.Shard)
		if shard < 0 {
			shard = len(l.shards)
			l.shards = append(l.shards, letter.Shard)
		}
		w := waiting{letter.ID(), shard, letter.Generation, letter.Position, letter.Seq}
		i, _ := slices.BinarySearchFunc(l.waiting, w, waiting.compare)
		l.waiting = slices.Insert(l.waiting, i, w)
	}
	return nil
}

// next is the first letter in line, which leaves it; false if there is none.
func (l *line) next() (id string, found bool) {
	if len(l.waiting) == 0 {
		return "", false
	}
	id = l.waiting[0].id
	l.waiting = l.waiting[1:]
	return id, true
}
