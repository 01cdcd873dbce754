package redisdedup

import (
	"fmt"
	"strings"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

const defaultPrefix = "runnel:dedup:"

// escape keeps a brace and a slash of a name from being taken for those around it.
var escape = strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D").Replace

// Tag is what chooses the slot of an application's keys in a cluster: its name in braces. In the name a percent sign, a slash and braces are percent-encoded; without a name it is {%}. Every key of an effect
// has it, before any other brace: so it is in the slot of its marks, and one script may write both.
func Tag(app string) string {
	if app == "" {
		return "{%}" // empty braces choose nothing
	}
	return "{" + escape(app) + "}"
}

// The keys of the sink. None is taken for another: names have no slashes.

func (s *Sink) base(app string) string { return s.cfg.Prefix + Tag(app) + "/" }

func (s *Sink) noteKey(app, token string) string { return s.base(app) + "failed/" + token }

// waitKey is written where there is nothing to write, but replicas to wait for.
func (s *Sink) waitKey(app string) string { return s.base(app) + "wait" }

// shardKeys are the keys of one shard.
type shardKeys string

func (s *Sink) keys(m dedup.Mark) shardKeys {
	return shardKeys(s.base(m.App) + "shards/" + escape(m.Stream) + "/" + escape(m.Shard) + "/")
}

func (k shardKeys) seal() string { return string(k) + "seal" }
func (k shardKeys) done() string { return string(k) + "done" }

// order has the lanes of done by their positions: a position does not fit into a score, so all scores are 0, and the members are in the order of their bytes.
func (k shardKeys) order() string { return string(k) + "order" }
func (k shardKeys) dead() string  { return string(k) + "dead" }

// id is the key of a record with PerID.
func (k shardKeys) id(p checkpoint.Position) string { return string(k) + "id/" + p.Sort() }

// inOrder is a lane's member of order.
func inOrder(p checkpoint.Position, lane string) string { return p.Sort() + " " + lane }

// until is a bound of members of order and dead: those of p and before it are below. What is behind a position begins with a space, and an exclamation mark comes next.
func until(p checkpoint.Position) string { return "(" + p.Sort() + "!" }

// among is a record's member of dead.
func among(m dedup.Mark) string { return fmt.Sprintf("%s %020d", m.Position.Sort(), m.Generation) }
