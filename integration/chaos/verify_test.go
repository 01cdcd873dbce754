package main

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/torment"
)

// sound is a run in which much happens and nothing is wrong: a crash, a clean handover, a merge.
func sound() *tale {
	t := newTale()
	t.parents = map[string][]string{"a": nil, "b": nil, "c": {"a", "b"}}
	t.put("a", "k", 4)
	t.put("b", "l", 2)
	t.put("c", "k", 1)
	t.put("c", "l", 1)
	t.take("w1", "a", 1)
	t.take("w2", "b", 1)
	t.handle("w1", "a", 1, 0)
	t.write("w1", "a", "w1-session", 1, 100, "open")
	t.handle("w1", "a", 1, 1)
	t.deed(deedKill, "w1", 0)
	t.handle("w2", "b", 1, 0)
	t.release("w2", "b", 1)
	t.take("w2", "a", 2)
	t.handle("w2", "a", 2, 1, 2, 3)
	t.end("w2", "a", 2)
	t.take("w3", "b", 2)
	t.handle("w3", "b", 2, 1)
	t.end("w3", "b", 2)
	t.take("w3", "c", 3)
	t.handle("w3", "c", 3, 0, 1)
	return t
}

func TestSoundRun(t *testing.T) {
	s := sound()
	s.want(t, "")
	_, found := verify(s.history)
	if found.repeats != 1 || found.most != 1 || len(found.takeovers) != 1 || found.delivered != 9 {
		t.Errorf("found %+v", found)
	}
}

func TestForgottenRecord(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.put("a", "l", 1)
	s.handle("w1", "a", 1, 0)
	s.want(t, ruleLost, "l/1", "101", "shard a")
}

func TestBegunIsNotHandled(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.begin("w1", "a", 1, 0)
	s.want(t, ruleLost, "k/1")
}

func TestRecordOfNobody(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.handle("w1", "a", 1, 0)
	stray := s.event(begun, "w1", "a", 1, 0)
	stray.Key = "x"
	stray.Attempt = 2
	s.tell(stray)
	s.want(t, ruleUnknown, "w1", "shard a", "x/1")
}

func TestReorderedRecords(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.put("a", "l", 1)
	s.put("a", "m", 1)
	s.handle("w1", "a", 1, 0, 2, 1)
	s.want(t, ruleOrder, "w1", "shard a", "m/1", "k/1")
}

func TestHoleAtATakeover(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.put("a", "l", 1)
	s.put("a", "m", 1)
	s.handle("w1", "a", 1, 0)
	s.begin("w1", "a", 1, 1) // not done
	s.handle("w2", "a", 2, 2)
	found, _ := verify(s.history)
	if len(found) != 2 || found[0].rule != ruleLost || found[1].rule != ruleOrder {
		t.Errorf("found %v, want that l/1 is lost, and that w2 left it out", found)
	}
}

func TestKeyOutOfOrderAcrossShards(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.put("b", "k", 1)
	s.handle("w2", "b", 1, 0)
	s.handle("w1", "a", 1, 0)
	s.want(t, ruleKey, "k/2", "k/1", "w2")
}

// That it is handled in order later does not undo it.
func TestKeyOutOfOrderAtFirst(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.put("b", "k", 1)
	s.handle("w2", "b", 1, 0)
	s.handle("w1", "a", 1, 0)
	s.handle("w3", "b", 2, 0)
	s.want(t, ruleKey, "k/2", "k/1", "w2")
}

func TestMoreRepeatsThanTheStrategyAllows(t *testing.T) {
	s := newTale()
	s.put("a", "k", 3)
	s.handle("w1", "a", 1, 0, 1)
	s.handle("w2", "a", 2, 0, 1, 2)
	s.want(t, ruleRepeats, "w2", "shard a", "2 records", "at most 1")
	s.bound = 2
	s.want(t, "")
}

func TestRepeatAfterACleanEnd(t *testing.T) {
	s := newTale()
	s.put("a", "k", 2)
	s.take("w1", "a", 1)
	s.handle("w1", "a", 1, 0)
	s.release("w1", "a", 1)
	s.take("w2", "a", 2)
	s.handle("w2", "a", 2, 0, 1)
	s.want(t, ruleRepeats, "w2", "k/1", "epoch 1 of w1")
}

// What a crash left is repeated by the worker after the next, which gave the shard up cleanly and had not come so far.
func TestRepeatOfAnEarlierCrash(t *testing.T) {
	s := newTale()
	s.put("a", "k", 3)
	s.bound = 2
	s.take("w1", "a", 1)
	s.handle("w1", "a", 1, 0, 1)
	s.take("w2", "a", 2)
	s.handle("w2", "a", 2, 0)
	s.release("w2", "a", 2)
	s.take("w3", "a", 3)
	s.handle("w3", "a", 3, 1, 2)
	s.want(t, "")
}

// A worker that repeated what a crash had left, and then gave the shard up cleanly, leaves nothing to be repeated.
func TestRepeatAfterACleanEndOfARepeat(t *testing.T) {
	s := newTale()
	s.put("a", "k", 2)
	s.take("w1", "a", 1)
	s.handle("w1", "a", 1, 0)
	s.take("w2", "a", 2)
	s.handle("w2", "a", 2, 0)
	s.release("w2", "a", 2)
	s.take("w3", "a", 3)
	s.handle("w3", "a", 3, 0, 1)
	s.want(t, ruleRepeats, "w3", "k/1", "epoch 2 of w2")
}

func TestTwoOwners(t *testing.T) {
	s := newTale()
	s.put("a", "k", 3)
	s.handle("w1", "a", 1, 0)
	s.begin("w2", "a", 2, 1)
	s.handle("w1", "a", 1, 1)
	s.tell(s.event(done, "w2", "a", 2, 1))
	s.handle("w2", "a", 2, 2)
	s.want(t, ruleOwners, "w1", "k/2", "epoch 2 of w2")
}

// frozenOwner is an owner that begins so many calls after it was stopped, and its successor had begun.
func frozenOwner(calls int) *tale {
	s := newTale()
	s.put("a", "k", 4)
	s.bound = 2
	s.handle("w1", "a", 1, 0)
	from := s.tick()
	s.handle("w2", "a", 2, 1, 2, 3)
	for i := range calls {
		s.begin("w1", "a", 1, 1+i)
	}
	s.tell(event{Worker: "w1", Kind: frozen, From: from})
	return s
}

func TestCallThatWasLetInBeforeAFreeze(t *testing.T) {
	s := frozenOwner(1)
	s.want(t, "")
	if _, found := verify(s.history); found.late != 1 {
		t.Errorf("%d late calls, want 1", found.late)
	}
}

func TestSecondCallAfterAFreeze(t *testing.T) {
	frozenOwner(2).want(t, ruleOwners, "epoch 1 of w1", "k/3", "epoch 2 of w2")
}

func TestFreezeThatWasOverExcusesNothing(t *testing.T) {
	s := frozenOwner(1)
	last := len(s.events) - 1
	s.events[last].From, s.events[last].At = 0, 1
	s.want(t, ruleOwners, "epoch 1 of w1", "k/2")
}

func TestEpochOfTwoWorkers(t *testing.T) {
	s := newTale()
	s.put("a", "k", 2)
	s.handle("w1", "a", 1, 0)
	s.handle("w2", "a", 1, 1)
	s.want(t, ruleEpochs, "shard a", "epoch 1", "w1", "w2")
}

func TestChildBeforeItsParents(t *testing.T) {
	for name, wrong := range map[string]func(s *tale){
		"a record of a parent is not done": func(s *tale) { s.put("a", "z", 1) },
		"a record of a parent is done later": func(s *tale) {
			s.put("a", "z", 1)
			s.handle("w2", "a", 2, 4)
		},
		"a parent has not ended": func(s *tale) {
			for i := range s.events {
				if s.events[i].Shard == "b" && s.events[i].State == "ended" {
					s.events[i].State = "open"
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound()
			wrong(s)
			found, _ := verify(s.history)
			for _, v := range found {
				if v.rule == ruleLineage {
					return
				}
			}
			t.Errorf("found %v", found)
		})
	}
}

func TestTakeoverThatIsLate(t *testing.T) {
	takeover := func(after time.Duration) *tale {
		s := newTale()
		s.put("a", "k", 2)
		s.take("w1", "a", 1)
		s.handle("w1", "a", 1, 0)
		s.deed(deedKill, "w1", after)
		s.take("w2", "a", 2)
		s.handle("w2", "a", 2, 1)
		return s
	}
	takeover(900*time.Millisecond).want(t, "")
	takeover(1100*time.Millisecond).want(t, ruleTakeover, "shard a", "w1", "w2", "1.1")

	s := takeover(1100 * time.Millisecond)
	kill := s.deeds[0]
	s.deeds = append(s.deeds, deed{string(torment.Refuse), "", kill.From + 100*time.Millisecond, kill.From + 500*time.Millisecond})
	s.want(t, "") // 0.6 s after the store was there again
	if _, found := verify(s.history); found.disturbed != 1 || len(found.takeovers) != 0 {
		t.Errorf("found %+v", found)
	}
}

// A shard that its worker had given up, or whose records came later, says nothing of how long a takeover takes.
func TestTakeoverIsCountedFromWhenThereWasSomething(t *testing.T) {
	s := newTale()
	s.put("a", "k", 1)
	s.take("w1", "a", 1)
	s.handle("w1", "a", 1, 0)
	s.deed(deedKill, "w1", 3*time.Second)
	s.take("w2", "a", 2)
	s.put("a", "k", 1)
	s.handle("w2", "a", 2, 1)
	s.want(t, "")

	s = newTale()
	s.put("a", "k", 2)
	s.take("w1", "a", 1)
	s.handle("w1", "a", 1, 0)
	s.release("w1", "a", 1)
	s.deed(deedKill, "w1", 3*time.Second)
	s.take("w2", "a", 2)
	s.handle("w2", "a", 2, 1)
	s.want(t, "")
}

func TestProcessThatEnds(t *testing.T) {
	s := newTale()
	s.tell(event{Worker: "w1", Kind: ended, Text: "signal: killed"}) // it was told to
	s.want(t, "")
	s.tell(event{Worker: "w2", Kind: ended, Text: "signal: aborted", Failed: true})
	s.want(t, ruleProcess, "w2", "signal: aborted")
}

func TestStopThatIsNotClean(t *testing.T) {
	s := newTale()
	s.deed(deedLeave, "w1", time.Second)
	s.tell(event{Worker: "w1", Kind: ended, Text: "exit status 1"})
	s.want(t, ruleProcess, "w1", "exit status 1")
	leave := s.deeds[0]
	other := deed{deedLeave, "w2", leave.To + 1, leave.To + 2}
	s.deeds = []deed{other, leave, {string(torment.Swallow), "", other.From, other.To}}
	s.want(t, ruleProcess, "w1", "exit status 1") // another's stop was without the store
	s.deeds = append(s.deeds, deed{string(torment.Swallow), "w1", leave.From, leave.To})
	s.want(t, "") // it could not give up its shards
}
