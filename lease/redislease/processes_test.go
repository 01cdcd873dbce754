//go:build engines

package redislease_test

import "context"

const roleVariable = "REDISLEASE_TEST_ROLE"

var roles = map[string]func(ctx context.Context, url, prefix string) error{}
