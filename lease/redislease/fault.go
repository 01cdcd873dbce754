package redislease

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/internal/redismaster"
	"github.com/runnelhq/runnel/lease"
)

// fault says what failed and, where the answer calls for it, what to do.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	return fmt.Errorf("redislease: keys %q: %s: %w", s.cfg.Prefix+"*", what, redismaster.Fault(ctx, err, lease.ErrDenied))
}
