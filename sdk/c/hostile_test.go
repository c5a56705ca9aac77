package c

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk/sdktest"
)

// conversation is a long and valid one: all frames of the Core.
func conversation() []byte {
	var seq uint64
	next := func() uint64 {
		seq++
		return seq
	}
	said := taskwire.AppendConfigure(nil, next(), &taskwire.Configuration{MaxResults: 10, Shelf: 1 << 20})
	blob := record(sdktest.ID(7), "seven")
	said = append(taskwire.AppendStoredHead(said, next(), 3, len(blob)), blob...)
	said = taskwire.AppendRuns(said, next(), []taskwire.Run{{Last: sdktest.ID(9).Value(), Count: 1}, {Last: identity.Value{0: 0xff}}})
	said = taskwire.AppendList(said, next(), identity.Value{}, sdktest.ID(9).Value(), []identity.ID{sdktest.ID(1), sdktest.ID(7)})
	for i := range 20 {
		n := next()
		said = sdktest.AppendInsert(said, n, n, sdktest.ID(i), 1, []byte("some"))
	}
	said = taskwire.AppendVoid(said, next(), 1, sdktest.ID(30))
	said = taskwire.AppendRemove(said, next(), 1, sdktest.ID(3))
	said = taskwire.AppendSearch(said, next(), &taskwire.Query{Limit: 5, Predicate: []byte("some")})
	said = taskwire.AppendSave(said, next(), 500, false)
	said = taskwire.AppendSave(said, next(), 500, false)
	said = taskwire.AppendSearch(said, next(), &taskwire.Query{Limit: 5, After: []identity.ID{sdktest.ID(4)}, Predicate: []byte("some")})
	said = taskwire.AppendSearch(said, next(), &taskwire.Query{Limit: 5, After: []identity.ID{sdktest.ID(4)},
		Within: []identity.ID{sdktest.ID(2), sdktest.ID(4), sdktest.ID(6)}, Predicate: []byte("some")})
	said = taskwire.AppendSave(said, next(), 500, true)
	return said
}

// record is a record of an object on the shelf, as the kit writes it.
func record(id identity.ID, saved string) []byte {
	p := append([]byte{1}, id[:]...)
	return append(append(p, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, byte(len(saved))), saved...)
}

// endsOrderly sends bytes to the checked exact Task, and closes the channel. The Task must end: with
// status 0 if the frames were whole, or with status 1. A sanitizer's finding has another status.
func endsOrderly(t *testing.T, said []byte, part int) (ok bool) {
	t.Helper()
	kill := time.AfterFunc(testutil.Patience, func() { panic("a Task does not end") })
	defer kill.Stop()
	_, stderr, err := converse(t, build(t, checked), said, part)
	if err == nil {
		return true
	}
	var status *exec.ExitError
	if s, isExit := err.(*exec.ExitError); isExit {
		status = s
	}
	if status == nil || status.ExitCode() != 1 || strings.Contains(stderr, "ERROR") || strings.Contains(stderr, "runtime error") {
		t.Fatalf("the Task ended with %v after\n%x\n%s", err, said, stderr)
	}
	return false
}

// TestMalformedFramesEndTheTask sends frames that break the protocol, after a valid one.
func TestMalformedFramesEndTheTask(t *testing.T) {
	configure := taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{MaxResults: 10, Shelf: 1 << 20})
	header := func(kind taskwire.Type, n int) []byte {
		h := taskwire.AppendHeader(nil, taskwire.Header{Type: kind, Len: n, Seq: 2})
		return append(h, make([]byte, min(n, 1<<20))...)
	}
	within := func(ids ...identity.ID) []byte {
		return taskwire.AppendSearch(nil, 2, &taskwire.Query{Limit: 1, Within: ids})
	}
	search := within()
	of := func(p []byte, at int, b byte) []byte {
		p = bytes.Clone(p)
		p[at] = b
		return p
	}
	blob := record(sdktest.ID(7), "seven")
	storedAt := func(seq, number uint64) []byte {
		return append(taskwire.AppendStoredHead(nil, seq, number, len(blob)), blob...)
	}
	for name, said := range map[string][]byte{
		"garbage":                        bytes.Repeat([]byte{0xff}, 100),
		"another magic":                  of(search, 0, 'X'),
		"another version":                of(search, 2, 1),
		"an unknown type":                header(10, 40),
		"a frame of the Task":            header(taskwire.Applied, 0),
		"another number":                 of(search, 15, 3),
		"a second configuration":         taskwire.AppendConfigure(nil, 2, &taskwire.Configuration{}),
		"an Insert that is too short":    header(taskwire.Insert, 47),
		"an Insert that is too long":     header(taskwire.Insert, 49+model.MaxObject),
		"a Remove of another length":     header(taskwire.Remove, 41),
		"a Void of another length":       header(taskwire.Void, 39),
		"a Search that is too short":     header(taskwire.Search, 16),
		"a Search that is too long":      header(taskwire.Search, 18+(8+taskwire.MaxWithin)*32+model.MaxSubQuery),
		"a Search with limit 0":          header(taskwire.Search, 17),
		"a Search with 9 identities":     of(append(search[:16:16], make([]byte, 17+9*32)...), 16+12, 9),
		"a Search with too few":          of(search, 16+12, 1),
		"too many candidates":            of(search, 16+13, 1),
		"candidates that are missing":    of(search, 16+16, 1),
		"candidates that descend":        within(sdktest.ID(2), sdktest.ID(1)),
		"a candidate twice":              within(sdktest.ID(1), sdktest.ID(1)),
		"65,537 candidates":              within(sdktest.Candidates(taskwire.MaxWithin + 1)...),
		"a Stored that is too short":     header(taskwire.Stored, 8),
		"a Stored that is too long":      header(taskwire.Stored, 9+taskwire.MaxBlob),
		"a blob with number 0":           storedAt(2, 0),
		"blobs that descend":             append(storedAt(2, 2), storedAt(3, 1)...),
		"a blob after a change":          append(header(taskwire.Remove, 40), storedAt(3, 1)...),
		"a Save of another length":       header(taskwire.Save, 4),
		"a Save with too much room":      taskwire.AppendSave(nil, 2, taskwire.MaxBlob+1, false),
		"a Save that is anew twice":      of(taskwire.AppendSave(nil, 2, 1, true), 20, 2),
		"a Runs without runs":            header(taskwire.Runs, 0),
		"a Runs with part of a run":      header(taskwire.Runs, 35),
		"too many runs":                  header(taskwire.Runs, 36*4097),
		"a List without a range":         header(taskwire.List, 31),
		"a List with part of one":        header(taskwire.List, 33),
		"a List before any Runs":         header(taskwire.List, 32),
		"too many identities in a List":  header(taskwire.List, 32+32*4097),
		"a Runs after a Search":          append(bytes.Clone(search), of(header(taskwire.Runs, 36), 15, 3)...),
		"a configuration that is cut":    configure[:20],
		"an Insert that is cut":          header(taskwire.Insert, 100)[:90],
		"a header that is cut":           search[:15],
		"a Search whose payload is lost": search[:16],
	} {
		if endsOrderly(t, append(bytes.Clone(configure), said...), 1<<20) {
			t.Errorf("%s: the Task ends as if the channel was closed in order", name)
		}
	}
	if endsOrderly(t, header(taskwire.Search, 17), 1<<20) {
		t.Error("a Search before the configuration: the Task ends as if the channel was closed in order")
	}
	if !endsOrderly(t, append(bytes.Clone(configure), within(sdktest.Candidates(taskwire.MaxWithin)...)...), 1<<20) {
		t.Error("the Task refuses as many candidates as there may be")
	}
	if !endsOrderly(t, conversation(), 1<<20) {
		t.Error("the Task refuses a conversation that is in order")
	}
}

// TestMalformedRecordsAreDropped gives the Task blobs that are no records. They must be passed over.
func TestMalformedRecordsAreDropped(t *testing.T) {
	good := record(sdktest.ID(7), "seven")
	for n := range good {
		c := startCore(t, checked, exactConfig(quota))
		c.put(sdktest.ID(1), 1, "one")
		c.end()
		c.shelf[1] = append(record(sdktest.ID(1), "one"), good[:n]...)
		c.start()
		if c.fed != 0 {
			t.Fatalf("%d bytes after a record: the record before is lost", n)
		}
		c.agrees(1, 1)
		c.save(1000)
		c.end()
	}
}

// TestMutatedConversations changes, cuts, and joins parts of a valid conversation at random, many
// thousand times. The Task must end: in order, or with status 1. Afterwards the kit's memory must be
// consistent. A sanitizer watches.
func TestMutatedConversations(t *testing.T) {
	play := exec.Command(build(t, "many"))
	var said, stderr bytes.Buffer
	play.Stdin, play.Stderr = &said, &stderr
	count := testutil.Repeats(1500, 1)
	for seed := range uint64(count) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := mutated(r, conversation())
		said.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(len(c))), 1+r.Uint32N(3000)))
		said.Write(c)
	}
	statuses, err := play.Output()
	testutil.Must(t, err)
	ended := make(map[byte]int)
	for seed, status := range statuses {
		if ended[status]++; status > 1 {
			t.Errorf("seed %d: the Task ended with status %d", seed, status)
		}
	}
	if len(statuses) != count || ended[0] < count/20 || ended[1] < count/20 || stderr.Len() > 0 {
		t.Errorf("%d of %d conversations were played; by status: %v\n%s", len(statuses), count, ended, stderr.String())
	}
}

// mutated returns a conversation with random changes. Often its frames are numbered again, so that
// more of them are read.
func mutated(r *rand.Rand, valid []byte) []byte {
	said := bytes.Clone(valid)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(said))
		switch r.IntN(6) {
		case 0:
			said[at] ^= 1 << r.IntN(8)
		case 1:
			said[at] = byte(r.Uint32())
		case 2:
			said = said[:at+1]
		case 3:
			from := r.IntN(len(valid))
			said = append(said[:at:at], valid[from:]...)
		default: // whole frames, once more
			frames := split(valid)
			from := r.IntN(len(frames))
			said = append(said, bytes.Join(frames[from:min(len(frames), from+1+r.IntN(8))], nil)...)
		}
	}
	if r.IntN(4) > 0 {
		renumber(said)
	}
	return said
}

// split returns the frames of a valid conversation.
func split(said []byte) (frames [][]byte) {
	for len(said) > 0 {
		n := taskwire.HeaderSize + int(binary.BigEndian.Uint32(said[4:]))
		frames, said = append(frames, said[:n]), said[n:]
	}
	return frames
}

// renumber numbers the frames in order, as far as they can be told apart.
func renumber(said []byte) {
	for seq := uint64(1); len(said) >= taskwire.HeaderSize; seq++ {
		binary.BigEndian.PutUint64(said[8:], seq)
		n := taskwire.HeaderSize + int(binary.BigEndian.Uint32(said[4:]))
		said = said[min(n, len(said)):]
	}
}
