//go:build !unix

package main

import (
	"errors"
	"time"
)

func processorTime() (all, system time.Duration, err error) { return 0, 0, errors.ErrUnsupported }
