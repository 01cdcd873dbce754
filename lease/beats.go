package lease

import "github.com/runnelhq/runnel/internal/planted"

// beats is what a session knows of its own heartbeats.
type beats struct {
	sent  uint64   // the last hb sent; each sending has one of its own
	acked uint64   // the highest hb known to be stored
	when  []flight // sendings above acked, oldest first
}

type flight struct {
	hb uint64
	at instant
}

// maxFlights bounds what is remembered of unacknowledged sendings. Older ones are acknowledged as well, with the age of none: they
// would not make the session valid.
const maxFlights = 64

// send gives the hb of a sending that begins now. A retry is a sending: with the hb of an earlier one it would be acknowledged although
// nothing moved, while the observers' clocks ran on.
func (b *beats) send(now instant) uint64 {
	if planted.Is(planted.SameBeat) && len(b.when) > 0 && b.acked > 0 {
		b.when[len(b.when)-1].at = now
		return b.sent
	}
	b.sent++
	if len(b.when) == maxFlights {
		b.when = b.when[1:]
	}
	b.when = append(b.when, flight{b.sent, now})
	return b.sent
}

// ack notes that hb is stored, and gives the first sending of the highest hb that is.
func (b *beats) ack(hb uint64) (since instant, known bool) {
	for _, f := range b.when {
		if f.hb == hb {
			since, known = f.at, true
		}
	}
	for len(b.when) > 0 && b.when[0].hb <= hb {
		b.when = b.when[1:]
	}
	b.acked = max(b.acked, hb)
	return since, known
}

// mine tells whether a row shows the session alive: it has an hb that was sent and none below the last acknowledged. Otherwise the session is
// over, for good.
func (b *beats) mine(r sessionRow) bool {
	return r.version != 0 && r.State == alive && r.HB >= b.acked && r.HB <= b.sent
}
