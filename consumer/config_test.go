package consumer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

type noSource struct{ Source }

type badStore struct{ lease.Store }

func (badStore) Validate() error { return errors.New("no table") }

func valid() Config {
	return Config{
		Name: "orders", Source: noSource{}, Leases: memlease.New(),
		Handler: Each(func(context.Context, Record) error { return nil }),
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	for _, c := range []struct {
		field string
		spoil func(*Config)
	}{
		{"Name", func(c *Config) { c.Name = "" }},
		{"Name", func(c *Config) { c.Name = strings.Repeat("x", 201) }},
		{"Source", func(c *Config) { c.Source = nil }},
		{"Leases", func(c *Config) { c.Leases = nil }},
		{"Handler", func(c *Config) { c.Handler = nil }},
		{"Handler", func(c *Config) { c.Handler = Each(nil) }},
		{"Handler", func(c *Config) { c.Handler = HandlerFunc(nil) }},
		{"Handler", func(c *Config) { c.Handler = JSON[int](nil) }},
		{"Start", func(c *Config) { c.Start = checkpoint.After(checkpoint.Offset(1)) }},
		{"Start", func(c *Config) { c.Start = checkpoint.AtTime(time.Time{}) }},
		{"Checkpoint", func(c *Config) { c.Checkpoint = checkpoint.EveryN(0) }},
		{"Checkpoint", func(c *Config) { c.Checkpoint = checkpoint.Every(0) }},
		{"Checkpoint", func(c *Config) { c.Checkpoint = checkpoint.EveryBytes(-1) }},
		{"Checkpoint", func(c *Config) { c.Checkpoint = checkpoint.Any{} }},
		{"Checkpoint[1]", func(c *Config) { c.Checkpoint = checkpoint.Any{checkpoint.Manual{}, nil} }},
		{"Batch.Size", func(c *Config) { c.Batch.Size = -1 }},
		{"Failure.Backoff", func(c *Config) { c.Failure.Backoff = -1 }},
		{"Failure.MaxBackoff", func(c *Config) { c.Failure.MaxBackoff = time.Millisecond }},
		{"Failure.OnTrimmed", func(c *Config) { c.Failure.OnTrimmed = 7 }},
		{"Flow.Records", func(c *Config) { c.Flow.Records = -1 }},
		{"Flow.Budget", func(c *Config) { c.Flow.Budget = &Budget{} }},
		{"Stop.Drain", func(c *Config) { c.Stop.Drain = -1 }},
		{"Stop.Grace", func(c *Config) { c.Stop.Grace = -1 }},
		{"Checkpoint", func(c *Config) { c.Checkpoint = checkpoint.Every(5) }},
		{"Leases", func(c *Config) { c.Leases = badStore{} }},
		{"Timing", func(c *Config) { c.Timing.Expiry = time.Second }},
	} {
		cfg := valid()
		c.spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "Config."+c.field) {
			t.Errorf("%s: got %v, want an error that names the field", c.field, err)
		}
	}
}

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	_, err := New(Config{Batch: Batch{Size: -1}, Timing: lease.Timing{Poll: -1}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Name", "Source", "Leases", "Handler", "Batch.Size", "Timing"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s is not in:\n%v", field, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c, err := New(valid())
	if err != nil {
		t.Fatal(err)
	}
	if c.cfg.Batch.Size != 1 {
		t.Errorf("a handler of single records gets batches of %d", c.cfg.Batch.Size)
	}
	cfg := valid()
	cfg.Handler = HandlerFunc(func(context.Context, []Record) error { return nil })
	if c, err = New(cfg); err != nil || c.cfg.Batch.Size != 1000 {
		t.Errorf("a handler of batches gets %d, %v", c.cfg.Batch.Size, err)
	}
	if c.cfg.Flow.Budget.Limit() != DefaultBudget {
		t.Errorf("the budget is %d", c.cfg.Flow.Budget.Limit())
	}
}
