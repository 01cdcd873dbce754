package sim

import "time"

// drawn is a number of one record, the same in each run of a seed whatever happens.
func (s *stream) drawn(k *shard, n int, of uint64) uint64 {
	x := s.w.seed + (k.number<<32+uint64(n))*0x9E3779B97F4A7C15 + of*0xD1B54A32D192ED03
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// part is a drawn number from 0 up to 1.
func (s *stream) part(k *shard, n int, of uint64) float64 {
	return float64(s.drawn(k, n, of)>>11) / (1 << 53)
}

// key is by which a record is ordered.
func (s *stream) key(k *shard, n int) string {
	u := s.part(k, n, 1)
	return k.keys[int(u*u*float64(len(k.keys)))]
}

// fails tells whether a handler of a record fails now, and whether it panics.
func (s *stream) fails(k *shard, n int) (fails, panics bool) {
	w, u := s.w, s.part(k, n, 2)
	healed := w.now >= w.plan.calm
	switch {
	case u < w.plan.poison:
		fails = !healed || w.plan.then == skips || w.plan.then == sendsLetter
	case u < w.plan.poison+w.plan.ailing:
		arrived := k.born + time.Duration(n+1)*k.every
		fails = !healed && w.now < arrived+time.Duration(3*s.part(k, n, 3)*float64(w.timing.Expiry))
	}
	return fails, fails && s.drawn(k, n, 4)%2 == 0
}
