package sourcetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// coded is a source in memory whose records have a Raw too, and go to bytes and back. Each func is a fault if it is not nil.
type coded struct {
	*bent
	encode func(b []byte) ([]byte, error)                        // of what was encoded
	decode func(b []byte, from noted, to *consumer.Record) error // in place of decoding, once the bytes were read
}

// noted is what Raw of a coded record points to.
type noted struct{ Value, Data []byte }

func (c *coded) Encode(r consumer.Record) ([]byte, error) {
	b, err := json.Marshal(noted{r.Raw.(*noted).Value, r.Data})
	if err == nil && c.encode != nil {
		return c.encode(b)
	}
	return b, err
}

func (c *coded) Decode(b []byte, r *consumer.Record) error {
	var n noted
	if err := json.Unmarshal(b, &n); err != nil {
		return &consumer.DecodeError{Shard: r.Shard, Position: r.Position, Err: err}
	}
	if c.decode != nil {
		return c.decode(b, n, r)
	}
	r.Raw, r.Data = &noted{Value: n.Value}, n.Data
	return nil
}

func encoding(c coded) func(s *Stream, m *memsource.Source) {
	return func(s *Stream, m *memsource.Source) {
		c.bent = &bent{Source: m, page: func(_ *bentReader, p *consumer.Page) {
			for i, r := range p.Records {
				p.Records[i].Raw = &noted{Value: r.Data}
			}
		}}
		s.Source = func() consumer.Source { return &c }
	}
}

func codecFaults() []fault {
	const test = "Held/EverythingOnce"
	in := func(name, says string, decode func(b []byte, n noted, r *consumer.Record) error) fault {
		return fault{name, test, says, encoding(coded{decode: decode})}
	}
	return []fault{
		{"does not encode a record", test, "not today", encoding(coded{encode: func([]byte) ([]byte, error) { return nil, errors.New("not today") }})},
		{"encodes half a record", test, "Decode of what Encode gave", encoding(coded{encode: func(b []byte) ([]byte, error) { return b[:len(b)/2], nil }})},
		in("loses Data in bytes", "and once decoded", func(_ []byte, n noted, r *consumer.Record) error {
			r.Raw = &noted{Value: n.Value}
			return nil
		}),
		in("loses Raw in bytes", "has another Raw", func(_ []byte, n noted, r *consumer.Record) error {
			r.Data = n.Data
			return nil
		}),
		in("decodes a part of Raw", "has another Raw", func(_ []byte, n noted, r *consumer.Record) error {
			r.Raw, r.Data = &noted{}, n.Data
			return nil
		}),
		in("keeps the bytes that it decodes", "and once decoded", func(b []byte, n noted, r *consumer.Record) error {
			r.Raw, r.Data = &noted{Value: n.Value}, append(b[:0], n.Data...)
			return nil
		}),
		in("decodes the key", "all but Raw and Data", func(_ []byte, n noted, r *consumer.Record) error {
			r.Raw, r.Data, r.Key = &noted{Value: n.Value}, n.Data, ""
			return nil
		}),
		{"decodes what its own functions do not read", test, "reads", func(s *Stream, m *memsource.Source) {
			encoding(coded{decode: func(_ []byte, n noted, r *consumer.Record) error {
				r.Raw, r.Data = noted{Value: n.Value}, n.Data
				return nil
			}})(s, m)
			s.Same = func(a, b any) bool { return true }
			s.Read = func(r consumer.Record) (string, []byte, error) {
				if n, ok := r.Raw.(*noted); ok {
					return r.Key, n.Value, nil
				}
				return "", nil, errors.New("it has no Raw of this source")
			}
		}},
	}
}

func TestCodecWithoutFault(t *testing.T) {
	compared := 0
	b := judge(t.Context(), memory(func(s *Stream, m *memsource.Source) {
		encoding(coded{})(s, m)
		s.Same = func(a, b any) bool {
			compared++
			return reflect.DeepEqual(a, b)
		}
	}))
	if len(b.failures) > 0 || compared == 0 {
		t.Errorf("%d records were compared, failures %v", compared, b.failures)
	}
}
