package ddblease

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
)

// code is what the service calls an error; "" if it is none of its.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// fault says what failed on which table and, where the service's answer calls for it, what to do. op is the service's operation.
func (s *Store) fault(ctx context.Context, op, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	advice := ""
	switch code(err) {
	case "AccessDeniedException":
		advice = fmt.Sprintf("allow dynamodb:%s on the table and on its index %q: ", op, indexName)
	case "ResourceNotFoundException":
		advice = "no such table or index in this account and region, Setup makes it: "
	}
	return fmt.Errorf("ddblease: table %q: %s: %s%w", s.table, what, advice, err)
}
