package ddblease

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/lease"
)

// fault says what failed on which table and, where the service's answer calls for it, what to do. op is the service's operation.
func (s *Store) fault(ctx context.Context, op, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	what = fmt.Sprintf("ddblease: table %q: %s", s.table, what)
	switch code := awserr.Code(err); {
	case code == "AccessDeniedException":
		return fmt.Errorf("%s: %w: allow dynamodb:%s on the table and on its index %q: %w", what, lease.ErrDenied, op, indexName, err)
	case awserr.Of(err) == awserr.Denied:
		return fmt.Errorf("%s: %w: %s: %w", what, lease.ErrDenied, awserr.Hint(err), err)
	case code == notFound:
		return fmt.Errorf("%s: no such table or index in this account and region; it is made when a worker starts: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
