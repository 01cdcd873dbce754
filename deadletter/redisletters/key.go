package redisletters

import (
	"strings"

	"github.com/runnelhq/runnel/deadletter"
)

const defaultPrefix = "runnel:letters:"

// names are the keys of Redis of a scope. Application and stream are in braces: by them a cluster chooses the slot, so that a script may touch all of them.
type names string

// escape keeps a brace and a slash of a name from being taken for those around it.
var escape = strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D").Replace

func (s *Store) names(of deadletter.Scope) names {
	return names(s.cfg.Prefix + "{" + escape(of.App) + "/" + escape(of.Stream) + "}/")
}

func (n names) seq() string               { return string(n) + "seq" }
func (n names) keys() string              { return string(n) + "keys" }
func (n names) parked() string            { return string(n) + "parked" }
func (n names) since() string             { return string(n) + "since" }
func (n names) letters(key string) string { return string(n) + "letters/" + key }
func (n names) letter(id string) string   { return string(n) + "letter/" + id }
func (n names) claim(key string) string   { return string(n) + "claim/" + key }
