package polling

import (
	"cmp"
	"fmt"
	"time"
)

// Intervals are the settings of a source that say how often it asks, and for how long.
type Intervals struct {
	Busy, Idle time.Duration // between two reads of a shard that has records, and at most of one that has none
	Timeout    time.Duration // of one request
}

// OrDefaults fills in what is zero. Idle is 2 s, or Busy if that is longer; Timeout 10 s.
func (i Intervals) OrDefaults(busy time.Duration) Intervals {
	i.Busy = cmp.Or(i.Busy, busy)
	i.Idle = cmp.Or(i.Idle, max(2*time.Second, i.Busy))
	i.Timeout = cmp.Or(i.Timeout, 10*time.Second)
	return i
}

// Faults says what is wrong with the fields of a source's Config.
func (i Intervals) Faults() []error {
	var faults []error
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Busy", i.Busy}, {"Idle", i.Idle}, {"Timeout", i.Timeout}} {
		if f.value < 0 {
			faults = append(faults, fmt.Errorf("the field Config.%s is %v: it cannot be negative; 0 is the default", f.name, f.value))
		}
	}
	if i.Idle > 0 && i.Idle < i.Busy {
		faults = append(faults, fmt.Errorf("the field Config.Idle is %v, shorter than Busy, %v: an idle shard cannot be read more often than a busy one", i.Idle, i.Busy))
	}
	return faults
}
