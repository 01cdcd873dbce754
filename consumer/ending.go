package consumer

// halt hands out nothing more, or, emptying, nothing but what was read.
func (w *window) halt(emptying bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.emptying = emptying && !w.stopped
	w.stopped = w.stopped || !w.emptying
	close(w.flush)
	w.rest()
}

// rest notes that nothing is in anybody's hands, once that is so: it closes quiet.
func (w *window) rest() {
	idle := w.stopped || w.emptying && w.lanes.Unfinished() == 0
	if idle && len(w.calls) == 0 && len(w.deferred) == 0 && !isClosed(w.quiet) {
		w.stopped = true
		close(w.quiet)
	}
}

// drop waits for no acknowledgement any longer: what comes from here on comes late. What a call keeps that is under way is dropped when it returns, for else it would count as done.
func (w *window) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lapsed, w.stopped = true, true
	for _, d := range w.awaited {
		d.state = tooLate
		for _, o := range d.ordinals {
			delete(w.deferred, o)
		}
	}
	w.awaited = nil
	w.rest()
}

// abandon gives up the calls that are under way: their workers are replaced, and what they return does not count.
func (w *window) abandon() {
	w.mu.Lock()
	w.dropped = true
	calls := len(w.calls)
	for _, c := range w.calls {
		if c.given {
			calls--
		}
		c.given = true
	}
	w.mu.Unlock()
	for range calls {
		w.r.c.pool.replace(w)
	}
}

// clear gives back the pages. Nothing of them is in use.
func (w *window) clear() {
	last := w.reached()
	w.mu.Lock()
	w.dropped, w.cleared, w.last = true, true, last
	var pages []Page
	for o := w.lanes.Watermark(); o < w.top(); o++ {
		if s := w.slot(o); s.page != nil {
			if s.page.left > 0 {
				pages = append(pages, s.page.page)
			}
			s.page.left = 0
			*s = slot{}
		}
	}
	w.mu.Unlock()
	for _, p := range pages {
		w.r.settle(p)
	}
}
