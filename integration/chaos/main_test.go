package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(taskVariable); ok {
		os.Exit(child(text))
	}
	goleak.VerifyTestMain(m)
}
