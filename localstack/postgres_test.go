package localstack

import (
	"errors"
	"strings"
	"testing"
)

func TestAMissingPostgresNamesTheCommandThatInstallsIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := postgresBin("initdb", "no-such-program")
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "make engines") || !strings.Contains(err.Error(), "initdb and no-such-program") {
		t.Errorf("got %v", err)
	}
}

func TestAWrongAddressOfPostgresIsRefused(t *testing.T) {
	for _, address := range []string{"there", "postgres://", "postgres://a b"} {
		t.Setenv("RUNNEL_POSTGRES", address)
		if _, err := StartPostgres(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "RUNNEL_POSTGRES") {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
