package consumer

import "sync"

const (
	idleWorkers  = 128 // that have nothing to do wait for more
	roomyWorkers = 16  // of these keep the memory of a large batch, which may be some hundred KB
)

// pool is the workers of a consumer. A shard that has something to hand out is offered to it; a worker takes one call from it, and then from the next shard in line, so
// that no shard waits for another for longer than the calls of the others.
type pool struct {
	limit int // workers; 0: any number
	shard int // for one shard

	mu   sync.Mutex
	busy int
	line []*window // offered, and waiting for a worker
	idle []chan *window

	closed bool
}

func newPool(o Order) *pool {
	if o.By == PerShard {
		return &pool{shard: 1}
	}
	return &pool{limit: o.Workers, shard: o.ShardWorkers}
}

// berth is what the pool knows of a shard.
type berth struct {
	workers int
	queued  bool
	again   bool // it was offered while it had all the workers that it may have
}

// offer says that a shard has something to hand out. A worker that takes from it and leaves something offers it again.
func (p *pool) offer(w *window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch b := &w.berth; {
	case b.queued:
	case b.workers >= p.shard:
		b.again = true
	case p.limit > 0 && p.busy >= p.limit:
		b.queued = true
		p.line = append(p.line, w)
	default:
		p.start(w)
	}
}

// start has a worker begin with a shard.
func (p *pool) start(w *window) {
	p.busy++
	w.berth.workers++
	if n := len(p.idle); n > 0 {
		p.idle[n-1] <- w
		p.idle = p.idle[:n-1]
		return
	}
	go p.run(w)
}

// run is a worker.
func (p *pool) run(w *window) {
	c := new(call)
	wake := make(chan *window, 1)
	returned := true
	defer func() {
		if !returned { // the handler, or a hook, ended the goroutine
			if w.quitBy(c) {
				p.replace(w)
			}
		}
	}()
	for w != nil {
		took, left := w.take(c)
		if left && p.shard > 1 { // otherwise it is this worker's turn again
			p.offer(w)
		}
		if took {
			returned = false
			c.work()
			returned = true
			if c.given {
				return // another does its work since
			}
		}
		if w = p.next(w, took); w == nil {
			w = p.rest(c, wake)
		}
	}
}

// next is the shard that a worker turns to after it took a call from w, or found nothing there.
func (p *pool) next(w *window, took bool) *window {
	if took && p.limit == 0 {
		return w
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &w.berth
	if took || b.again {
		b.again = false
		if len(p.line) == 0 {
			return w
		}
		if !b.queued {
			b.queued = true
			p.line = append(p.line, w)
		}
	}
	b.workers--
	return p.pop()
}

// pop is the next shard in line, which gets a worker with it; nil: there is none.
func (p *pool) pop() *window {
	for len(p.line) > 0 {
		w := p.line[0]
		p.line[0] = nil
		p.line = p.line[1:]
		b := &w.berth
		b.queued = false
		if b.workers < p.shard {
			b.workers++
			return w
		}
		b.again = true
	}
	return nil
}

// rest waits for a shard to turn to; nil: the worker is not needed.
func (p *pool) rest(c *call, wake chan *window) *window {
	c.w = nil
	p.mu.Lock()
	if w := p.pop(); w != nil { // offered since
		p.mu.Unlock()
		return w
	}
	p.busy--
	if p.closed || len(p.idle) == idleWorkers {
		p.mu.Unlock()
		return nil
	}
	if len(p.idle) >= roomyWorkers {
		c.lent = nil
	}
	p.idle = append(p.idle, wake)
	p.mu.Unlock()
	return <-wake
}

// replace makes room for another worker in the place of one that is given up.
func (p *pool) replace(w *window) {
	p.mu.Lock()
	p.busy--
	w.berth.workers--
	w.berth.again = false
	if next := p.pop(); next != nil {
		next.berth.workers--
		p.start(next)
	}
	p.mu.Unlock()
	p.offer(w)
}

// open readies the pool for a Run, and shut sends home who waits after it.
func (p *pool) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

func (p *pool) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, wake := range p.idle {
		close(wake)
	}
	p.idle = nil
}
