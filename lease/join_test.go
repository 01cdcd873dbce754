package lease_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// buryingStore marks a session as dead as soon as it has joined, once: its join took so long that others declared it dead.
type buryingStore struct {
	lease.Store
	buried atomic.Value // its name
}

func (s *buryingStore) Put(ctx context.Context, rows []lease.Row) []error {
	errs := s.Store.Put(ctx, rows)
	if errors.Join(errs...) != nil || kind(rows[0].Key) != "W" || !s.buried.CompareAndSwap(nil, rows[0].Key) {
		return errs
	}
	dead := rows[0]
	dead.Version, dead.Value = 1, bytes.Replace(dead.Value, []byte(`"state":"A"`), []byte(`"state":"D"`), 1)
	return s.Store.Put(ctx, []lease.Row{dead})
}

// A session that was declared dead before it had looked whether its join was stored is over: it must not heartbeat on a dead row.
func TestASessionThatIsDeadWhenItHasJoinedIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		store := &buryingStore{}
		f.config = func(cfg *lease.Config) {
			store.Store = cfg.Store
			cfg.Store = store
		}
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if buried := store.buried.Load(); buried == "W/"+w.job("a").Session() {
			t.Errorf("%s works although its row says that it is dead", buried)
		}
		f.watch(20 * time.Second)
		if !w.job("a").Valid() {
			t.Error("the session that followed is over too")
		}
	})
}
