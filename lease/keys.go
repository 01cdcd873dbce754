package lease

import (
	"net/url"
	"strings"
)

// The rows of a store, grouped by everything up to and including the last slash:
//
//	W/<session>                      a session, shared by all applications of a store
//	<app>/M/<session>                the session takes part in the application
//	<app>/S/<incarnation>/<shard>    a shard's lease
//	<app>/A                          the application
//
// Names are escaped, so that no slash or odd byte of theirs makes another group. A session's name is made of harmless bytes.
const sessionGroup = "W/"

func sessionKey(session string) string { return sessionGroup + session }

// keys makes the keys of one application and one incarnation of its stream.
type keys struct{ app, incarnation string }

func (k keys) prefix() string {
	app := url.PathEscape(k.app)
	if app+"/" == sessionGroup {
		app = "%57" // an application named W: its rows must not be among the sessions'
	}
	return app + "/"
}

func (k keys) application() string { return k.prefix() + "A" }

func (k keys) members() string              { return k.prefix() + "M/" }
func (k keys) member(session string) string { return k.members() + session }

func (k keys) shards() string         { return k.prefix() + "S/" + url.PathEscape(k.incarnation) + "/" }
func (k keys) shard(id string) string { return k.shards() + url.PathEscape(id) }

// groups are all in which an application has rows.
func (k keys) groups() []string { return []string{sessionGroup, k.prefix(), k.members(), k.shards()} }

// lastName is the name of a row inside its group.
func lastName(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// shardID undoes [keys.shard].
func shardID(key string) (string, error) { return url.PathUnescape(lastName(key)) }
