package marks

import (
	"errors"
	"slices"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// owned is a mark of key "k" at a position, of an owner.
func owned(scope dedup.Scope, epoch, n uint64) dedup.Mark {
	return dedup.Mark{App: "app", Stream: "stream", Shard: "s", Scope: scope, Key: "k", Position: checkpoint.Offset(n), Epoch: epoch, Session: "session", Generation: 1}
}

// A batch that an earlier owner had applied in part is handled again: what was a repeat stays one behind the records that this owner has added.
func TestRepeatsOfAnEarlierOwnerStayRepeats(t *testing.T) {
	s := Seal{Epoch: 2, Generation: 1, Session: "session"}
	o := newOwner(s, false)
	done := map[string]Done{"kk": {checkpoint.Offset(3), 1}}
	ms := []dedup.Mark{owned(dedup.PerKey, 2, 2), owned(dedup.PerKey, 2, 3), owned(dedup.PerKey, 2, 4)}
	b, err := Decide(s, done, o, ms)
	if err != nil || !slices.Equal(b.Fresh, []int{2}) {
		t.Fatalf("at first: %+v, %v", b, err)
	}
	o.Try(ms, b.Fresh)
	b, err = Decide(s, b.Done, o, ms)
	if err != nil || len(b.Fresh) > 0 {
		t.Fatalf("again: %+v, %v; want three repeats", b, err)
	}
	if _, err := Decide(s, map[string]Done{"kk": {checkpoint.Offset(4), 2}}, o, []dedup.Mark{owned(dedup.PerKey, 2, 1)}); !errors.Is(err, dedup.ErrOutOfOrder) {
		t.Errorf("a record that came behind and was never seen: %v; want dedup.ErrOutOfOrder", err)
	}
}

// A fail-over has taken back what this owner had written. Above it, with the records between lost, nobody goes on.
func TestWritesThatAreForgottenAreNotPassedOver(t *testing.T) {
	sealed := func(low uint64) Seal {
		return Seal{Epoch: 2, Generation: 1, Session: "session", Low: checkpoint.Offset(low)}
	}
	o := newOwner(sealed(90), false)
	o.Moved(checkpoint.Offset(100))
	m := owned(dedup.PerShard, 2, 101)
	if _, err := Decide(sealed(90), nil, o, []dedup.Mark{m}); !errors.Is(err, dedup.ErrNotSealed) {
		t.Errorf("a write above what is forgotten: %v; want dedup.ErrNotSealed", err)
	}
	if err := o.Remembers(sealed(90), m); !errors.Is(err, dedup.ErrNotSealed) {
		t.Errorf("what is forgotten: %v; want dedup.ErrNotSealed", err)
	}
	for _, low := range []uint64{100, 101} { // 101: the answer of a write was lost
		if err := o.Remembers(sealed(low), m); err != nil {
			t.Errorf("low at %d: %v", low, err)
		}
	}
	m.Scope = dedup.PerKey // the seal may have been read before low moved
	if _, err := Decide(sealed(90), nil, o, []dedup.Mark{m}); err != nil {
		t.Errorf("a write of a key: %v", err)
	}
}

func TestErrorsNameTheirRecord(t *testing.T) {
	p := checkpoint.Offset(17)
	for want, err := range map[error]error{dedup.ErrOutOfOrder: &OrderError{"shard 3", p}, dedup.ErrPending: &PendingError{"shard 3", p}} {
		if got := err.Error(); !errors.Is(err, want) || got != want.Error()+": shard shard 3, record 17" {
			t.Errorf("%q, %v", got, errors.Unwrap(err))
		}
	}
}
