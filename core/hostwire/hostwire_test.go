package hostwire_test

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

func pattern(first byte) (p [32]byte) {
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

// fromCore has one message of each type that the Core sends.
var fromCore = map[string]hostwire.Message{
	"ready":      hostwire.Ready{Key: pattern(0x20), Address: "127.0.0.1:7433"},
	"start-task": hostwire.StartTask{Instance: 7, Index: 12, Measurement: pattern(0x40), Memory: 256 << 20},
	"stop-task":  hostwire.StopTask{Instance: 7},
	"counters":   hostwire.Counters{Stats: numbered(), Server: server()},
	"event":      hostwire.Event{Reason: model.ReasonDamagedRecord, Segment: 3, Offset: 4096},
	"anchor":     hostwire.Anchor{Head: model.Head{LSN: 4711, Segment: half(0xc0), Chain: half(0xd0)}},
	"index":      hostwire.Index{Index: 12, Instance: 7, State: model.IndexServing, Restarts: 1, Queued: 4096, Done: 1 << 33},
}

// fromHost has one message of each type that the host sends.
var fromHost = map[string]hostwire.HostMessage{
	"task-started": {Type: hostwire.TypeTaskStarted, Instance: 7},
	"task-ended":   {Type: hostwire.TypeTaskEnded, Instance: 7},
	"stop":         {Type: hostwire.TypeStop},
}

func half(first byte) [16]byte {
	p := pattern(first)
	return [16]byte(p[:16])
}

// numbered returns Stats in which each counter has a different value, in the order of the
// encoding.
func numbered() *hostwire.Stats {
	s := new(hostwire.Stats)
	next := uint64(0)
	set := func(counters ...*uint64) {
		for _, n := range counters {
			next++
			*n = next
		}
	}
	histogram := func(h *hostwire.Histogram) {
		for i := range h.Counts {
			set(&h.Counts[i])
		}
		set(&h.Micros)
	}
	set(&s.Synced, &s.Refused, &s.WriteBegan)
	histogram(&s.Commits)
	for op := range s.Requests {
		for code := range s.Requests[op] {
			set(&s.Requests[op][code])
		}
	}
	for op := range s.Latency {
		histogram(&s.Latency[op])
	}
	return s
}

func server() *model.ServerStatus {
	return &model.ServerStatus{Flags: model.ServerReadOnly, Objects: 1, Alerts: 2, Now: 3, Started: 4, LiveBytes: 5,
		Measurements: model.Measurements{LogBytes: 6, Segments: 7, Connections: 8, CheckpointBytes: 9, CheckpointLSN: 10,
			CheckpointTime: 11, MovedBytes: 12, FreedBytes: 13, ScrubbedRecords: 14, ScrubbedBytes: 15, ScrubPasses: 16,
			ScrubTime: 17, ScrubDamaged: 18, DiskBytes: 1 << 40}}
}

// TestGoldenMessages fixes the bytes of every message, encoded and decoded by both sides.
func TestGoldenMessages(t *testing.T) {
	for name, m := range fromCore {
		p := m.Append(nil)
		testutil.Golden(t, filepath.Join("testdata", name+".hex"), strings.ToUpper(strings.ReplaceAll(name, "-", " ")), p)
		got, err := hostframes.Decode(p)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %v, decoded as %+v", name, err, got)
		}
		if _, err := hostwire.Decode(p); err == nil {
			t.Errorf("%s: the Core accepts a message that only the Core sends", name)
		}
		if name == "counters" {
			continue // may have any length: see TestCountersOfAnotherVersion
		}
		for n := range p {
			if _, err := hostframes.Decode(p[:n]); err == nil {
				t.Errorf("%s: the host accepts it cut to %d bytes", name, n)
			}
		}
		if _, err := hostframes.Decode(append(p, 0)); err == nil {
			t.Errorf("%s: the host accepts it with an additional byte", name)
		}
	}
	for name, m := range fromHost {
		p := hostframes.Append(nil, m)
		testutil.Golden(t, filepath.Join("testdata", name+".hex"), strings.ToUpper(strings.ReplaceAll(name, "-", " ")), p)
		if got, err := hostwire.Decode(p); err != nil || got != m {
			t.Errorf("%s: %v, decoded as %+v", name, err, got)
		}
		if _, err := hostframes.Decode(p); err == nil {
			t.Errorf("%s: the host accepts a message that only the host sends", name)
		}
		for n := range p {
			if _, err := hostwire.Decode(p[:n]); err == nil {
				t.Errorf("%s: the Core accepts it cut to %d bytes", name, n)
			}
		}
		if _, err := hostwire.Decode(append(p, 0)); err == nil {
			t.Errorf("%s: the Core accepts it with an additional byte", name)
		}
	}
}

func altered(p []byte, at int, b byte) []byte {
	p = bytes.Clone(p)
	p[at] = b
	return p
}

// TestMessageLimits: each side refuses headers that the other side never sends.
func TestMessageLimits(t *testing.T) {
	stop := hostframes.Append(nil, fromHost["stop"])
	ended := hostframes.Append(nil, fromHost["task-ended"])
	for name, p := range map[string][]byte{
		"the type before the host's first": altered(ended, 3, byte(hostwire.TypeTaskStarted)-1),
		"the type after the host's last":   altered(ended, 3, byte(hostwire.TypeStop)+1),
		"another version":                  altered(stop, 2, hostwire.Version+1),
		"another magic":                    altered(stop, 1, 'T'),
		"a stop of an instance":            append(bytes.Clone(stop), make([]byte, 8)...),
	} {
		if _, err := hostwire.Decode(p); err == nil {
			t.Errorf("the Core accepts %s", name)
		}
	}
	event := fromCore["event"].Append(nil)
	for name, c := range map[string]struct {
		input []byte
		ok    bool
	}{
		"type 0":                            {altered(event, 3, 0), false},
		"the type after the Core's last":    {altered(event, 3, byte(hostwire.TypeIndex)+1), false},
		"another version":                   {altered(event, 2, hostwire.Version+1), false},
		"the longest address":               {hostwire.Ready{Address: strings.Repeat("a", hostwire.MaxAddress)}.Append(nil), true},
		"a zero byte inside an address":     {hostwire.Ready{Address: "a\x00b"}.Append(nil), false},
		"the longest message":               {counters(hostwire.MaxMessage), true},
		"a message that is a byte too long": {counters(hostwire.MaxMessage + 1), false},
	} {
		if _, err := hostframes.Decode(c.input); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// counters returns a message of n bytes whose header says that it has counters.
func counters(n int) []byte {
	return append(fromCore["counters"].Append(nil)[:4], make([]byte, n-4)...)
}

// TestCountersOfAnotherVersion do not end a Core. The host only lacks the numbers.
func TestCountersOfAnotherVersion(t *testing.T) {
	whole := len(fromCore["counters"].Append(nil))
	if whole > hostwire.MaxMessage {
		t.Fatalf("counters have %d bytes, and a message at most %d", whole, hostwire.MaxMessage)
	}
	for _, n := range []int{4, whole - 1, whole + 1} {
		m, err := hostframes.Decode(counters(n))
		if c, is := m.(hostwire.Counters); err != nil || !is || c.Stats != nil || c.Server != nil {
			t.Errorf("%d bytes: %v, %+v", n, err, m)
		}
	}
}

// TestDecodeDoesNotAlias: a decoded message stays the same when its buffer is reused.
func TestDecodeDoesNotAlias(t *testing.T) {
	for name, m := range fromCore {
		p := m.Append(nil)
		got, err := hostframes.Decode(p)
		clear(p)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("the decoded message %s changed with its buffer; want a copy", name)
		}
	}
}

// TestEachOperationAndCodeIsCounted in Stats.
func TestEachOperationAndCodeIsCounted(t *testing.T) {
	for v := range 256 {
		if frames.ValidOperation(model.Operation(v)) && v >= hostwire.Operations {
			t.Errorf("operation %d is not counted", v)
		}
		if frames.ValidCode(model.Code(v)) != (v < hostwire.Codes) {
			t.Errorf("code %d is valid: %v, but Stats count the codes up to %d", v, frames.ValidCode(model.Code(v)), hostwire.Codes-1)
		}
	}
	if last := hostwire.Operations - 1; !frames.ValidOperation(model.Operation(last)) {
		t.Errorf("Stats count up to operation %d, which does not exist", last)
	}
}

// FuzzDecode: a message that the Core accepts has a single encoding.
func FuzzDecode(f *testing.F) {
	for _, m := range fromHost {
		f.Add(hostframes.Append(nil, m))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := hostwire.Decode(p); err == nil && !bytes.Equal(hostframes.Append(nil, m), p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", m, hostframes.Append(nil, m), p)
		}
	})
}

// FuzzDecodeOfCore: a message that the host accepts has a single encoding, except for counters
// of another version.
func FuzzDecodeOfCore(f *testing.F) {
	for _, m := range fromCore {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := hostframes.Decode(p)
		if c, is := m.(hostwire.Counters); err != nil || is && c.Stats == nil {
			return
		}
		if again := m.Append(nil); !bytes.Equal(again, p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", m, again, p)
		}
	})
}
