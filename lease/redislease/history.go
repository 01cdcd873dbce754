package redislease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/internal/redismaster"
	"github.com/runnelhq/runnel/lease"
)

var _ lease.Historian = (*Store)(nil)

// History names the replication history of the masters that have the rows of groups: their master_replid. Each promotion of a replica gives a new one, planned or not, and
// each start of a master. A master without a replica takes another once, when repl-backlog-ttl, an hour, has passed since the last one left.
func (s *Store) History(ctx context.Context, groups []string) (string, error) {
	what := fmt.Sprintf("read the history of %q", groups)
	var nodes []*redis.Client
	for _, group := range groups {
		p, err := split(group + "name")
		if err != nil {
			return "", s.fault(ctx, what, err)
		}
		node, err := s.client.Of(ctx, s.counterKey(p.app))
		if err != nil {
			return "", s.fault(ctx, what, err)
		}
		if !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	var histories []string
	for _, node := range nodes {
		history, err := historyOf(ctx, node)
		if err != nil {
			s.client.Reload(ctx, err)
			return "", s.fault(ctx, what, err)
		}
		histories = append(histories, history)
	}
	slices.Sort(histories)
	return strings.Join(histories, " "), nil
}

func historyOf(ctx context.Context, node *redis.Client) (string, error) {
	info, err := node.Info(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	switch id, role := redismaster.InfoField(info, "master_replid"), redismaster.InfoField(info, "role"); {
	case role != "master":
		return "", fmt.Errorf("the server at %s is no master but a %q", node.Options().Addr, role)
	case id == "":
		return "", errors.New("INFO replication has no master_replid: Redis 4 and later have")
	default:
		return id, nil
	}
}
