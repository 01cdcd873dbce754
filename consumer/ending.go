package consumer

// halt hands out nothing more. The channel is closed when nothing is in anybody's hands.
func (w *window) halt() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	close(w.flush)
	w.rest()
	return w.quiet
}

// rest notes that nothing is in anybody's hands, once that is so.
func (w *window) rest() {
	if w.stopped && len(w.calls) == 0 && len(w.deferred) == 0 && !isClosed(w.quiet) {
		close(w.quiet)
	}
}

// drop waits for no acknowledgement any longer: what comes from here on comes late. What a call keeps that is under way is dropped when it returns, for else it would count as done.
func (w *window) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lapsed = true
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
