package main

import (
	"slices"
	"strings"
	"testing"
)

// put are transfers of two accounts, and sound the books that they make.
var put = []transfer{{"ada", 1, "bob", 5}, {"bob", 1, "ada", 2}, {"ada", 2, "bob", 1}}

func sound() books {
	return books{
		lines: map[string][]line{
			"ada": {{"ada/1", -5}, {"bob/1", 2}, {"ada/2", -1}},
			"bob": {{"ada/1", 5}, {"ada/2", 1}, {"bob/1", -2}},
		},
		balances: map[string]int64{"ada": -4, "bob": 4},
	}
}

func TestSoundBooksHaveNoFault(t *testing.T) {
	if f := verify(put, sound()); f.lost+f.twice+len(f.violations) > 0 {
		t.Errorf("found %+v", f)
	}
}

// Each fault is found, and only it.
func TestFaultsOfBooksAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		harm        func(b books)
		lost, twice int
		says        []string
	}{
		"a line is lost": {func(b books) { b.lines["ada"] = slices.Delete(b.lines["ada"], 1, 2) }, 1, 0, []string{"ada: transfer bob/1 is lost"}},
		"a line is there three times": {func(b books) {
			b.lines["bob"] = append(b.lines["bob"], line{"ada/1", 5}, line{"ada/1", 5})
		}, 0, 2, []string{"bob: transfer ada/1 stands 3 times"}},
		"transfers changed places": {func(b books) {
			l := b.lines["ada"]
			l[0], l[2] = l[2], l[0]
		}, 0, 0, []string{"ada: transfer 1 stands behind 2"}},
		"nobody put it":  {func(b books) { b.lines["bob"] = append(b.lines["bob"], line{"eve/1", 9}) }, 0, 0, []string{"bob: a line of transfer eve/1 over 9, which nobody put"}},
		"another amount": {func(b books) { b.lines["bob"][2].amount = -3 }, 1, 0, []string{"bob: a line of transfer bob/1 over -3, which nobody put", "bob: transfer bob/1 is lost"}},
		"balances":       {func(b books) { b.balances["ada"]--; b.balances["bob"]++ }, 0, 0, []string{"ada has the balance -5, and the transfers that were put make -4", "bob has the balance 5, and the transfers that were put make 4"}},
		"an account":     {func(b books) { b.balances["eve"] = 3 }, 0, 0, []string{"eve is in the books, and nothing was put for it", "all balances together are 3, want 0"}},
	} {
		b := sound()
		c.harm(b)
		f := verify(put, b)
		if f.lost != c.lost || f.twice != c.twice || f.known > len(f.violations) || !slices.Equal(f.violations, c.says) {
			t.Errorf("%s: %d lost, %d twice, and %q", name, f.lost, f.twice, f.violations)
		}
	}
}

// Lines of which there are too many keep their places: the first one counts.
func TestRepeatsAreNoMatterOfOrder(t *testing.T) {
	b := sound()
	b.lines["ada"] = append(b.lines["ada"], b.lines["ada"][0])
	if f := verify(put, b); f.twice != 1 || len(f.violations) != 1 {
		t.Errorf("found %+v", f)
	}
}

func TestTheReportHasFaultsAndSums(t *testing.T) {
	s := scenario{sink: "redis", stream: "kinesis", seed: 7}
	r := report{command: "exactly", results: []result{
		{scenario: s, transfers: 10, told: tally{deliveries: 12, repeats: 2, ahead: 1}, done: map[string]int{kills: 3, answers: 1}},
		{scenario: s, transfers: 20, done: map[string]int{kills: 4}, findings: findings{lost: 1, known: 1, violations: []string{"gone"}}},
	}}
	text := r.String()
	for _, want := range []string{
		"| redis | kinesis | 30 | 12 | 2 | 1 | 7 | 0 | 1 | 0 | 0, 0 | 1 | 0 | 0 |\n",
		"| **all** |  | 30 | 12 | 2 | 1 | 7 | 0 | 1 | 0 | 0, 0 | 1 | 0 | 0 |\n", "- **redis on kinesis, seed 7:** gone\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if err := r.fault(); err == nil {
		t.Error("a violation is no fault")
	}
}

// A COMMIT is told from what looks like one.
func TestCommitsAreTold(t *testing.T) {
	for text, want := range map[string]bool{
		"Q\x00\x00\x00\x0bcommit\x00": true, "Q\x00\x00\x00\x0bCOMMIT\x00": true, "Q\x00\x00\x00\x0dcommit;\x00": false,
		"Q\x00\x00\x00\x0drollback\x00": false, "P\x00\x00\x00\x0bcommit\x00": false, "": false,
	} {
		if isCommit([]byte(text)) != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
}
