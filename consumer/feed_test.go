package consumer

import (
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
)

// pages has a feed read so many pages of records of one size, of which at most so many come at once, and gives what it would read next.
func pages(f *feed, n int, size int64, most int) int64 {
	for range n {
		records := min(int(f.size/size), most)
		if most > 0 {
			records = max(records, 1) // a record that is larger travels alone
		}
		f.resize(records, int64(records)*size, f.size)
	}
	return f.size
}

func TestAPageGrowsWithWhatTheShardHas(t *testing.T) {
	feedOf := func(budget int64) *feed {
		c := &Consumer{cfg: Config{Flow: Flow{Budget: NewBudget(budget)}}}
		return &feed{r: &runner{c: c, progress: newProgress(checkpoint.EveryRecord{}, checkpoint.Position{}, newAsked())}, size: smallPage}
	}
	for _, size := range []int64{100, 5_000, 9_000, 1 << 20} {
		if got := pages(feedOf(DefaultBudget), 5, size, 1_000_000); got != largePage {
			t.Errorf("records of %d bytes, as many as fit: the next page may hold %d bytes, want %d", size, got, largePage)
		}
	}
	f := feedOf(1 << 20)
	if got := pages(f, 5, 100, 1_000_000); got != 1<<18 {
		t.Errorf("of a budget of 1 MiB one page may take %d bytes, want a quarter", got)
	}
	f = feedOf(DefaultBudget)
	pages(f, 5, 570, 10_000)
	if got := pages(f, 5, 570, 10_000); got != 570*10_000*5/4 {
		t.Errorf("pages of 10,000 records of 570 bytes: %d bytes are held for the next one, want a quarter more than they take", got)
	}
	f.size = 1 << 20
	if f.resize(0, 0, f.size); f.size != 1<<18 {
		t.Errorf("nothing came once, and %d bytes are held for the next page, want a quarter of what were", f.size)
	}
	if f.resize(1000, f.size*15/16, f.size); f.size != 1<<22 {
		t.Errorf("a page was full but for a sixteenth, and the next one may hold %d bytes, want 16 times as many", f.size)
	}
	if got := pages(f, 8, 570, 0); got != smallPage {
		t.Errorf("nothing came for long, and %d bytes are held for the next page, want %d", got, smallPage)
	}
}
