package redisdedup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Write is the effects of one [Sink.Apply]: commands and bodies of Lua, which are sent in one script when the function returns nil, in the order in which they were added. Nothing is read or written before.
// What is wrong with what is added comes back from Apply, in a [*dedup.RolledBackError]. It is for the function's call only, and for one goroutine.
type Write struct {
	tag, own        string // the tag of the application, and how the sink's own keys begin
	checks, effects []step
	keys            []string
	named           map[string]bool // keys, and whether an effect names them
	kinds           [][2]string
	size            int // in bytes, about
	words           int
	err             error // the first that is wrong
}

// step is a body with its keys and arguments, or, without a body, the words of a command.
type step struct {
	body       string
	keys, args []string
}

func (s step) name() string {
	if s.body != "" {
		return "EVAL"
	}
	return strings.ToUpper(s.args[0])
}

// Key is a key of Redis that an effect uses. It has the application's [Tag].
type Key string

// Key is the key of that name: the application's tag, a colon and the name. Keys that have the tag elsewhere are made by conversion: Key("stock:" + w.Tag()).
func (w *Write) Key(name string) Key { return Key(w.tag + ":" + name) }

// Tag is the application's [Tag].
func (w *Write) Tag() string { return w.tag }

// Redis refuses a command of a million words, and one of 512 MB or what client-query-buffer-limit says.
const (
	maxWords = 1_000_000
	maxSize  = 256 << 20
)

// Do adds a command. Each of its args that is a key must be of type [Key], and one must be; the others may be strings, []byte, numbers of any type, or bools, which are 1 and 0. A command has up to 4,000.
//
// A command that Redis refuses when others are made already leaves these: see [HalfwayError]. Before anything is done it is looked at whether keys are of the type that the command takes, for the common commands with one key, where
// no effect before names the key. For what else may fail – a number that is none, an overflow –, there is [Write.Check].
func (w *Write) Do(command string, args ...any) {
	s := step{args: []string{command}}
	keys := 0
	for i, arg := range args {
		if key, ok := arg.(Key); ok {
			w.use(key)
			keys++
		}
		word, err := wordOf(arg)
		if err != nil {
			w.fail(fmt.Errorf("%s: argument %d: %w", command, i, err))
		}
		s.args = append(s.args, word)
	}
	switch {
	case strings.TrimSpace(command) == "":
		w.fail(errors.New("a command has no name"))
	case keys == 0:
		w.fail(fmt.Errorf("%s: none of its arguments is a redisdedup.Key: give keys by Write.Key", command))
	case len(s.args) > most:
		w.fail(fmt.Errorf("%s: it has %d arguments; give it %d at most, and the others to another", command, len(args), most-1))
	}
	if w.err != nil {
		return
	}
	if kind := kindOf[s.name()]; kind != "" && keys == 1 {
		if key, ok := args[0].(Key); ok && !w.named[string(key)] {
			w.kinds = append(w.kinds, [2]string{string(key), kind})
		}
	}
	w.add(&w.effects, s)
}

// Eval adds a function in Lua, as EVAL has it: body sees KEYS and ARGV, and calls redis.call. Give its data by args and keep body constant. Every key that it touches belongs to keys. It fails if it raises an error, which redis.call does, or returns one
// (redis.error_reply); what it did before stands: see [HalfwayError]. It must not touch the sink's own keys.
func (w *Write) Eval(body string, keys []Key, args ...any) {
	w.addBody(&w.effects, "Eval", body, keys, args)
}

// Check adds a function in Lua that is called before the first effect is made, and only reads: if it returns false or an error (redis.error_reply), or raises one, nothing is done, and Apply returns a
// [*dedup.RolledBackError]. All checks come before all effects.
func (w *Write) Check(body string, keys []Key, args ...any) {
	w.addBody(&w.checks, "Check", body, keys, args)
}

func (w *Write) addBody(to *[]step, name, body string, keys []Key, args []any) {
	s := step{body: body}
	for _, key := range keys {
		w.use(key)
		s.keys = append(s.keys, string(key))
	}
	for i, arg := range args {
		word, err := wordOf(arg)
		if err != nil {
			w.fail(fmt.Errorf("%s: argument %d: %w", name, i, err))
		}
		s.args = append(s.args, word)
	}
	if strings.TrimSpace(body) == "" {
		w.fail(fmt.Errorf("%s: it has no body", name))
	}
	if w.err == nil {
		w.add(to, s)
	}
}

// use looks at a key.
func (w *Write) use(key Key) {
	k := string(key)
	if tag := tagOf(k); tag != w.tag {
		w.fail(fmt.Errorf("key %q is not in the slot of the marks: its first braces must be %s: make it by Write.Key", k, w.tag))
	} else if strings.HasPrefix(k, w.own) {
		w.fail(fmt.Errorf("key %q is the sink's own", k))
	}
	if _, ok := w.named[k]; !ok {
		if w.named == nil {
			w.named = map[string]bool{}
		}
		w.named[k] = false
		w.keys = append(w.keys, k)
		w.size += len(k)
		w.words++
	}
}

// tagOf is the part of a key that chooses its slot, "" if that is all of it.
func tagOf(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	name, _, ok := strings.Cut(rest, "}")
	if !ok || name == "" {
		return ""
	}
	return "{" + name + "}"
}

func (w *Write) add(to *[]step, s step) {
	*to = append(*to, s)
	w.size += len(s.body)
	for _, words := range [][]string{s.keys, s.args} {
		w.words += len(words) + 1
		for _, word := range words {
			w.size += len(word)
			if _, key := w.named[word]; key && to == &w.effects {
				w.named[word] = true
			}
		}
	}
	if w.words > maxWords || w.size > maxSize {
		w.fail(fmt.Errorf("the effects have more than %d words or %d bytes, which is too much for one script: apply fewer records at once", maxWords, maxSize))
	}
}

func (w *Write) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// wordOf is an argument as a command has it.
func wordOf(arg any) (string, error) {
	switch v := arg.(type) {
	case Key:
		return string(v), nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("a %T: give a redisdedup.Key, a string, []byte, a number or a bool", arg)
}

// kindOf is the type of the key that a command takes, for commands whose first argument is their only key.
var kindOf = func() map[string]string {
	kinds := map[string]string{}
	for kind, commands := range map[string]string{
		"string": "APPEND DECR DECRBY GETDEL GETEX GETSET INCR INCRBY INCRBYFLOAT SETBIT SETRANGE BITFIELD PFADD",
		"hash":   "HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT",
		"list":   "LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP LREM LSET LTRIM LINSERT",
		"set":    "SADD SREM SPOP",
		"zset":   "ZADD ZINCRBY ZREM ZPOPMIN ZPOPMAX ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE GEOADD",
		"stream": "XADD XDEL XTRIM XACK XSETID",
	} {
		for command := range strings.FieldsSeq(commands) {
			kinds[command] = kind
		}
	}
	return kinds
}()
