package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(taskVariable); ok {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // it is the main of a child
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// Every side reads every record – or says that it did not – and has its line. How fast is not asked.
func TestCompare(t *testing.T) {
	for _, s := range []shape{
		{"Kinesis/records=7x30B", load{API: kinesisAPI, Size: 30, Page: 7, Shards: 3, Calls: 5}},
		{"Streams/records=7x10attributes", load{API: streamsAPI, Page: 7, Shards: 2, Calls: 5}},
	} {
		t.Run(s.name, func(t *testing.T) {
			defer http.DefaultClient.CloseIdleConnections()
			var out bytes.Buffer
			r := &report{out: &out}
			if err := s.compare(t.Context(), options{Count: 1}, r); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != len(sides) {
				t.Fatalf("a round of %d sides has %d lines:\n%s", len(sides), len(lines), &out)
			}
			for i, text := range lines {
				side := sides[i]
				l, ok := parseLine(text)
				if !ok || l.name != s.name+"/side="+side {
					t.Fatalf("want a result of side %s: %s", side, text)
				}
				for _, unit := range []string{cpuUnit, ratioUnit, "allocs/record", "B/record", "peak-B", "records/GC", "records/call", "records/s"} {
					if l.values[unit] <= 0 {
						t.Errorf("side %s has %v %s: %s", side, l.values[unit], unit, text)
					}
				}
				if side == "sdk" && (l.values[ratioUnit] != 1 || l.values["records/call"] != float64(s.load.Page)) {
					t.Errorf("the SDK's loop reads full pages, and is what others are compared with: %s", text)
				}
			}
		})
	}
}
