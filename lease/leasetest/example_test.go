package leasetest_test

import (
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/memlease"
)

// A store that needs no network is tested by one call.
func ExampleRun() {
	TestStore := func(t *testing.T) {
		leasetest.Run(t, func(t *testing.T) lease.Store {
			return memlease.New() // the store under test, cleaned up by t.Cleanup
		})
	}
	_ = TestStore
}

// connect stands for the New of a store: it is told where its service listens.
func connect(addr string) lease.Store {
	_ = addr
	return memlease.New()
}

// A store that speaks TCP is tested through a proxy.
func ExampleSuite() {
	const service = "127.0.0.1:5432"
	TestStore := func(t *testing.T) {
		leasetest.Suite{
			New: func(*testing.T) lease.Store { return connect(service) },
			Faulty: func(t *testing.T) leasetest.Faulty {
				proxy, err := leasetest.NewProxy(service)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = proxy.Close() })
				return leasetest.Faulty{Store: connect(proxy.Addr()), Direct: connect(service), Line: proxy}
			},
		}.Run(t)
	}
	_ = TestStore
}
