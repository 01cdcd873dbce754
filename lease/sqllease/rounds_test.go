package sqllease

import (
	"fmt"
	"testing"

	"github.com/runnelhq/runnel/lease"
)

func TestRowsOfOneKeyComeInRounds(t *testing.T) {
	var rows []lease.Row
	for _, key := range []string{"a", "b", "a", "c", "a", "b"} {
		rows = append(rows, lease.Row{Key: key})
	}
	if got := fmt.Sprint(rounds(rows)); got != "[[0 1 3] [2 5] [4]]" {
		t.Errorf("rounds %s", got)
	}
}
