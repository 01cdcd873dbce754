//go:build !race

package lease

import "math/bits"

// key is a world packed into bits.
type key [4]uint64

// layout says where each byte of a world is in its key.
type layout struct {
	fields []slot
}

type slot struct {
	at          uint8 // the byte
	word, shift uint8
	mask        uint8
}

// newLayout packs worlds no byte of which is above widest's.
func newLayout(widest *world) layout {
	var l layout
	var used int
	for i, most := range widest.bytes() {
		width := bits.Len8(most)
		if width == 0 {
			continue
		}
		if used%64+width > 64 {
			used += 64 - used%64
		}
		l.fields = append(l.fields, slot{uint8(i), uint8(used / 64), uint8(used % 64), 1<<width - 1})
		used += width
	}
	if used > 64*len(key{}) {
		panic("a world does not fit its key")
	}
	return l
}

func (l layout) pack(x *world) (k key) {
	b := x.bytes()
	for _, f := range l.fields {
		k[f.word%4] |= uint64(b[f.at]) << (f.shift % 64)
	}
	return k
}

func (l layout) unpack(k key) (x world) {
	b := x.bytes()
	for _, f := range l.fields {
		b[f.at] = uint8(k[f.word%4]>>(f.shift%64)) & f.mask
	}
	return x
}

// states are all that were reached, in the order of the search, each with where it was first reached from.
type states struct {
	keys  []key
	from  []uint32
	table []uint32 // by hash: 1 + index
}

func (s *states) find(k key) uint32 {
	i := k.hash() & uint64(len(s.table)-1)
	for s.table[i] != 0 && s.keys[s.table[i]-1] != k {
		i = (i + 1) & uint64(len(s.table)-1)
	}
	return uint32(i)
}

// add gives the index of a state.
func (s *states) add(k key, from uint32) uint32 {
	if 2*len(s.keys) >= len(s.table) {
		s.table = make([]uint32, max(1<<12, 2*len(s.table)))
		for n, k := range s.keys {
			s.table[s.find(k)] = uint32(n) + 1
		}
	}
	i := s.find(k)
	if s.table[i] == 0 {
		s.keys = append(s.keys, k)
		s.from = append(s.from, from)
		s.table[i] = uint32(len(s.keys))
	}
	return s.table[i] - 1
}

func (k key) hash() uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, w := range k {
		hi, lo := bits.Mul64(h^w, 0xd6e8feb86659fd93)
		h = hi ^ lo
	}
	return h
}
