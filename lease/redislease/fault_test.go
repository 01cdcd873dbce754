package redislease

import (
	"errors"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/lease"
)

// An answer of Redis that a client gives as an error.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestFaultsSayWhatToDo(t *testing.T) {
	s := New(nil, nil)
	for text, denied := range map[string]bool{
		"NOAUTH Authentication required.": true, "WRONGPASS invalid username-password pair": true, "NOPERM this user has no permissions": true,
		"ERR invalid password": true, "ERR The user executing the script can't run this command or subcommand": true, "ERR ACL failure in script: x": true,
		"READONLY You can't write": false, "OOM command not allowed": false, "ERR unknown command 'INFO'": false, "ERR NOSUCH": false,
	} {
		err := s.fault(t.Context(), "do it", answer(text))
		if errors.Is(err, lease.ErrDenied) != denied || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "do it") {
			t.Errorf("%s: %v; denied: want %t", text, err, denied)
		}
	}
}
