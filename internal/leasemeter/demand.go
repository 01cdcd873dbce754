package leasemeter

import "sync"

// Demand is what a lease store was asked for.
type Demand struct {
	Reads, Listings float64 // calls
	Puts            float64 // calls of Put and Delete
	Writes          float64 // rows written or deleted, refused ones too
	ReadUnits       float64 // as DynamoDB counts them
	WriteUnits      float64
}

// Plus is both together.
func (d Demand) Plus(e Demand) Demand {
	return Demand{d.Reads + e.Reads, d.Listings + e.Listings, d.Puts + e.Puts, d.Writes + e.Writes, d.ReadUnits + e.ReadUnits, d.WriteUnits + e.WriteUnits}
}

// Minus is what came since it was e.
func (d Demand) Minus(e Demand) Demand {
	return Demand{d.Reads - e.Reads, d.Listings - e.Listings, d.Puts - e.Puts, d.Writes - e.Writes, d.ReadUnits - e.ReadUnits, d.WriteUnits - e.WriteUnits}
}

// Meter adds up what all workers ask of one store. Its zero value has counted nothing. It may be used by several goroutines at once.
type Meter struct {
	mu    sync.Mutex
	total Demand
}

// Read is what was asked for until now.
func (m *Meter) Read() Demand {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

func (m *Meter) add(d Demand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = m.total.Plus(d)
}
