package localstack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// part is a folder under .cache/engines that install.sh fills, and the command that runs what is in it.
type part struct {
	folder  string
	command string // looked for in PATH; empty: the folder brings its own
}

var (
	kinesisMock   = part{folder: "kinesis-mock", command: "node"}
	dynamoDBLocal = part{folder: "dynamodb-local", command: "java"}
	localStack    = part{folder: "localstack"}
)

// stamp is the file that install.sh writes into a folder last.
const stamp = "installed"

func (o Options) path(p part, elem ...string) string {
	return filepath.Join(append([]string{o.Cache, "engines", p.folder}, elem...)...)
}

// missing joins an error for each part that is not there.
func (o Options) missing(parts ...part) error {
	var errs []error
	for _, p := range parts {
		if _, err := os.Stat(o.path(p, stamp)); o.Cache == "" || err != nil {
			errs = append(errs, fmt.Errorf("%w: %s is not installed in %q: run: make engines (in a clone of runnel; RUNNEL_CACHE says where it installed)",
				ErrMissing, p.folder, o.Cache))
		} else if _, err := exec.LookPath(p.command); p.command != "" && err != nil {
			errs = append(errs, fmt.Errorf("%w: %s needs %s: run: make engines", ErrMissing, p.folder, p.command))
		}
	}
	return errors.Join(errs...)
}

var ofThisModule = regexp.MustCompile(`(?m)^module github\.com/runnelhq/runnel$`)

// defaultCache is .cache beside this module's go.mod, above the working directory; empty if there is none.
func defaultCache() string {
	dir, err := os.Getwd()
	for err == nil {
		if b, e := os.ReadFile(filepath.Join(dir, "go.mod")); e == nil && ofThisModule.Match(b) {
			return filepath.Join(dir, ".cache")
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}
