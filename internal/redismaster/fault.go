package redismaster

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// denials are how answers begin to a caller who may not do what it asks. Some have no code of their own: about a script's commands, by version, and about a request that is longer
// than Redis takes from whom it does not know.
var denials = []string{
	"NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "invalid password",
	"The user executing the script can't", "ACL failure in script", "Protocol error: unauthenticated",
}

// hints are what to do about other answers, by their codes.
var hints = []struct{ code, hint string }{
	{"READONLY", "the server is a replica: give the client the master, by Sentinel if there is one"},
	{"OOM", "the memory that maxmemory allows is used up"},
	{"NOREPLICAS", "fewer replicas are connected than min-replicas-to-write wants"},
	{"MISCONF", "the server cannot write to its disk, and takes no writes before it can"},
	{"CLUSTERDOWN", "a part of the cluster has no master"},
	{"MOVED", "the server is one of a cluster: make the client with redis.NewClusterClient"},
	{"CROSSSLOT", "the server is one of a cluster: make the client with redis.NewClusterClient"},
}

// Fault adds to an error why ctx ended, if it did, and what to do, where the answer calls for it. An error for which Redis refused who asked wraps denied too.
func Fault(ctx context.Context, err, denied error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	for _, code := range denials {
		if redis.HasErrorPrefix(err, code) {
			return fmt.Errorf("%w: give the client a user that may do what the package's documentation says: %w", denied, err)
		}
	}
	for _, h := range hints {
		if redis.HasErrorPrefix(err, h.code) {
			return fmt.Errorf("%s: %w", h.hint, err)
		}
	}
	return err
}
