package main

import (
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
)

// leases is a lease that was taken, written and taken by another.
func leases() *tale {
	s := newTale()
	s.write("w1", "a", "w1-session", 1, 100, "open")
	s.write("w1", "a", "w1-session", 1, 101, "open")
	s.write("w2", "a", "w2-session", 2, 101, "open")
	s.write("w2", "a", "w2-session", 2, 102, "open")
	return s
}

func TestSoundLease(t *testing.T) { leases().want(t, "") }

func TestPositionStoredByAnOlderEpoch(t *testing.T) {
	s := leases()
	s.write("w1", "a", "w1-session", 1, 103, "open")
	s.want(t, ruleRows, "shard a", "epoch 2 of w2", "epoch 1 of w1")
}

func TestPositionThatGoesBack(t *testing.T) {
	s := leases()
	s.write("w2", "a", "w2-session", 2, 101, "open")
	s.want(t, ruleRows, "shard a", "102", "101", "w2")
}

func TestWriteOfNobody(t *testing.T) {
	s := leases()
	s.rows["app/S/stream/a"]++ // past the workers
	s.write("w2", "a", "w2-session", 2, 103, "open")
	s.want(t, ruleRows, "version 5", "shard a", "nobody")
}

// A write past the workers is followed by the owner's, for the same version, which is refused, and by its reading of what is there.
func TestWriteOfNobodyThatIsRead(t *testing.T) {
	s := leases()
	e := s.writing("w2", "a", "w2-session", 2, 103, "open")
	s.tell(e)
	seen := e
	e.Kind, e.Text = answered, "row has another version"
	s.tell(e)
	seen.Kind = read
	s.tell(seen) // as it is if the client had retried its own success
	s.want(t, "")
	seen.Position = checkpoint.Offset(101)
	s.tell(seen)
	s.want(t, ruleRows, "version 5", "shard a", "w2", "101")
}

func TestVersionOfTwo(t *testing.T) {
	s := leases()
	s.rows["app/S/stream/a"]--
	s.write("w1", "a", "w1-session", 2, 102, "open")
	found, _ := verify(s.history)
	if len(found) == 0 || found[0].rule != ruleRows {
		t.Errorf("found %v", found)
	}
}

func TestEpochOfTwoSessions(t *testing.T) {
	s := leases()
	s.write("w3", "a", "w3-session", 2, 102, "open")
	s.want(t, ruleEpochs, "shard a", "w2-session", "w3-session", "2")
}

func TestOwnerWithoutAnEpochOfItsOwn(t *testing.T) {
	s := leases()
	s.write("w2", "a", "", 2, 102, "open")
	s.write("w3", "a", "w3-session", 2, 102, "open")
	s.want(t, ruleEpochs, "shard a", "w3-session", "epoch 2")
}

func TestShardThatOpensAgain(t *testing.T) {
	s := leases()
	s.write("w2", "a", "", 2, 102, "ended")
	s.write("w3", "a", "w3-session", 3, 102, "open")
	s.want(t, ruleRows, "shard a", "had ended", "w3")
}

// A worker that was killed between the sending of a write and its answer leaves a version of which nobody knows what it holds.
func TestWriteWithoutAnAnswer(t *testing.T) {
	s := leases()
	s.tell(s.writing("w2", "a", "w2-session", 2, 103, "open"))
	s.write("w3", "a", "w3-session", 3, 103, "open")
	s.want(t, "")
	s.write("w1", "a", "w1-session", 1, 104, "open") // what comes behind it is looked at
	s.want(t, ruleRows, "epoch 3 of w3", "epoch 1 of w1")
}

func TestRefusedWriteOfAFormerOwner(t *testing.T) {
	s := leases()
	e := s.writing("w1", "a", "w1-session", 1, 104, "open")
	s.rows["app/S/stream/a"]--
	e.Version = 3
	s.tell(e)
	e.Kind, e.Text = answered, "row has another version"
	s.tell(e)
	e = s.writing("w2", "a", "w2-session", 2, 103, "open") // the owner's own is no former owner's
	s.rows["app/S/stream/a"]--
	e.Version = 4
	s.tell(e)
	e.Kind, e.Text = answered, "row has another version"
	s.tell(e)
	s.want(t, "")
	if _, found := verify(s.history); found.fenced != 1 {
		t.Errorf("%d fenced writes, want 1", found.fenced)
	}
}
