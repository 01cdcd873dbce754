package localstack

import (
	"errors"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	var have error
	lack := ErrMissing
	nothing := facts{environment: lack, docker: lack, native: lack, engines: lack}
	all := facts{}
	for name, c := range map[string]struct {
		forced Kind
		facts  facts
		want   Kind // empty: an error
	}{
		"auto takes the environment first":       {Auto, all, Environment},
		"auto takes Docker without endpoints":    {Auto, facts{environment: lack}, Docker},
		"auto takes LocalStack without Docker":   {Auto, facts{environment: lack, docker: lack}, Native},
		"auto takes the engines at last":         {Auto, facts{lack, lack, lack, have}, Engines},
		"auto finds nothing":                     {Auto, nothing, ""},
		"the environment is forced":              {Environment, all, Environment},
		"Docker is forced over endpoints":        {Docker, all, Docker},
		"LocalStack is forced over Docker":       {Native, all, Native},
		"the engines are forced over LocalStack": {Engines, all, Engines},
		"a forced environment is not replaced":   {Environment, facts{environment: lack}, ""},
		"forced Docker is not replaced":          {Docker, facts{docker: lack}, ""},
		"forced LocalStack is not replaced":      {Native, facts{native: lack}, ""},
		"forced engines are not replaced":        {Engines, facts{engines: lack}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(c.forced, c.facts)
			if got != c.want || (c.want == "") != errors.Is(err, ErrMissing) {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestChooseUnknownKind(t *testing.T) {
	_, err := choose("lokalstack", facts{})
	if err == nil || !strings.Contains(err.Error(), `"native"`) {
		t.Errorf("got %v; want the kinds that there are", err)
	}
}

// A machine with nothing installed is told the command, and no test passes on it by being skipped.
func TestMissingPartNamesTheCommand(t *testing.T) {
	empty := t.TempDir()
	for name, start := range map[string]func() error{
		"LocalStack": func() error { _, err := Start(t.Context(), Options{Kind: Native, Cache: empty}); return err },
		"engines":    func() error { _, err := Start(t.Context(), Options{Kind: Engines, Cache: empty}); return err },
		"DynamoDB":   func() error { _, err := StartDynamoDB(t.Context(), Options{Cache: empty}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := start()
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "run: make engines") ||
				!strings.Contains(err.Error(), empty) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCacheIsFoundFromAnyFolderOfTheModule(t *testing.T) {
	if got := defaultCache(); !strings.HasSuffix(got, "/.cache") || strings.Contains(got, "localstack/.cache") {
		t.Errorf("got %q from within the module", got)
	}
	t.Chdir(t.TempDir())
	if got := defaultCache(); got != "" {
		t.Errorf("got %q outside of the module", got)
	}
}
