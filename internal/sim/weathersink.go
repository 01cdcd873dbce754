package sim

// failover has the sink forget what it is about to write, unless it is about to already.
func (s *weather) failover() {
	w := s.w
	if s.failing {
		return
	}
	s.failing = true
	restore, kept := w.sink.Snapshot(), w.audit.snapshot()
	w.after(s.expiries(0.02, 1.5), func() {
		w.counts.add("sink failed over")
		w.trace.say("", "FAILOVER", "of the sink")
		s.failing = false
		restore()
		w.audit.failedOver(kept)
	})
}

// reuse has the store of leases forget takes, as after a restored backup, for what the sink sees of it: the next epoch of each shard is the one in which it is sealed.
func (s *weather) reuse() {
	s.w.counts.add("epochs forgotten by the store of leases")
	s.w.trace.say("", "FORGET", "epochs")
	for _, id := range s.w.audit.order() {
		if la := s.w.audit.leases[id]; la.sink.fence.Epoch > 0 {
			la.reused = la.maxEpoch + 1 - la.sink.fence.Epoch
		}
	}
}
