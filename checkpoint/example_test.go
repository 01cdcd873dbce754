package checkpoint_test

import (
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// Sequence numbers compare as numbers, whatever their length, and keep the zeros that the service wants back.
func ExamplePosition_Compare() {
	p, _ := checkpoint.Sequence("000000000000000000099")
	q, _ := checkpoint.Sequence("100")
	fmt.Println(p.Before(q), p)
	// Output: true 000000000000000000099
}

// A position is stored after 1,000 records or 5 s, whichever comes first.
func ExampleAny() {
	s := checkpoint.Any{checkpoint.EveryN(1000), checkpoint.Every(5 * time.Second)}
	fmt.Println(s.Due(checkpoint.Progress{Records: 999, Age: 2 * time.Second}))
	fmt.Println(s.Due(checkpoint.Progress{Records: 1000, Age: 2 * time.Second}))
	// Output:
	// 3s
	// 0s
}
