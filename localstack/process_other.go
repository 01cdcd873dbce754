//go:build !unix

package localstack

import (
	"errors"
	"os/exec"
)

// Without a POSIX shell no part can be started here: use RUNNEL_STACK=env or docker.

func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}

func quit(int) error { return errors.ErrUnsupported }
