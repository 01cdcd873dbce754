//go:build !unix

package localstack

import "os/exec"

// Without a POSIX shell no part can be started here: use RUNNEL_STACK=env or docker.

func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
