package sourcetest

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/runnelhq/runnel/consumer"
)

// recode checks that a record of a [consumer.Codec] comes back whole from its bytes, decoded by another source, as in a redrive. The bytes are overwritten before anything is compared.
func (r *reading) recode(tb testing.TB, rec consumer.Record, want put) {
	tb.Helper()
	from, ok := r.x.Source().(consumer.Codec)
	if !ok {
		return
	}
	b, err := from.Encode(rec)
	if err != nil {
		tb.Fatalf("%s: Encode of the record at %s: %v", r, rec.Position, err)
	}
	letter, stored := rec, bytes.Clone(b)
	letter.Raw, letter.Data = nil, nil
	decoded := letter
	if err := r.x.Source().(consumer.Codec).Decode(stored, &decoded); err != nil {
		tb.Fatalf("%s: Decode of what Encode gave for the record at %s: %v", r, rec.Position, err)
	}
	clear(stored)
	if !bytes.Equal(decoded.Data, rec.Data) {
		tb.Errorf("%s: the record at %s has the Data %q, and once decoded %q", r, rec.Position, rec.Data, decoded.Data)
	}
	same := r.x.Same
	if same == nil {
		same = reflect.DeepEqual
	}
	if !same(rec.Raw, decoded.Raw) {
		tb.Errorf("%s: the record at %s has another Raw once decoded from\n\t%q", r, rec.Position, b)
	}
	if key, value, err := r.x.read(decoded); err != nil || key != want.key || string(value) != want.value {
		tb.Errorf("%s: once decoded, the record at %s reads %q of key %q, %v; want %v", r, rec.Position, value, key, err, want)
	}
	decoded.Raw, decoded.Data = nil, nil
	if !reflect.DeepEqual(decoded, letter) {
		tb.Errorf("%s: Decode made %+v of %+v: all but Raw and Data are the letter's", r, decoded, letter)
	}
}
