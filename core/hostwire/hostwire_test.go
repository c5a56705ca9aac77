package hostwire_test

import (
	"bytes"
	"path/filepath"
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

// each holds one message of each type.
var each = map[string]hostwire.Message{
	"ready":        {Type: hostwire.Ready, Key: pattern(0x20), Address: "127.0.0.1:7433"},
	"start-task":   {Type: hostwire.StartTask, Instance: 7, Measurement: pattern(0x40), Memory: 256 << 20, Values: []uint64{12}},
	"stop-task":    {Type: hostwire.StopTask, Instance: 7},
	"counters":     {Type: hostwire.Counters, Values: []uint64{1, 2, 1 << 40}},
	"event":        {Type: hostwire.Event, Reason: model.ReasonDamagedRecord, Segment: 3, Offset: 4096},
	"index":        {Type: hostwire.Index, Instance: 7, Values: []uint64{12, 3, 1, 4096}},
	"anchor":       {Type: hostwire.Anchor, Instance: 4711, Key: pattern(0xc0)},
	"task-started": {Type: hostwire.TaskStarted, Instance: 7},
	"task-ended":   {Type: hostwire.TaskEnded, Instance: 7},
	"stop":         {Type: hostwire.Stop},
}

// encode encodes a message as the side does that sends it.
func encode(m *hostwire.Message) []byte {
	if m.Type <= hostwire.Index {
		return hostwire.Append(nil, m)
	}
	return hostframes.Append(nil, m)
}

// decode decodes a message as the side does that may get it: never both.
func decode(t *testing.T, p []byte) (hostwire.Message, error) {
	t.Helper()
	ofHost, err := hostwire.Decode(p)
	ofCore, errCore := hostframes.Decode(p)
	switch {
	case err == nil && errCore == nil:
		t.Fatalf("%x is taken by both sides", p)
	case err == nil && ofHost.Type < hostwire.TaskStarted, errCore == nil && ofCore.Type >= hostwire.TaskStarted:
		t.Fatalf("%x is taken by the side that sends it", p)
	case err == nil:
		return ofHost, nil
	}
	return ofCore, errCore
}

// TestGoldenMessages pins every message.
func TestGoldenMessages(t *testing.T) {
	for name, m := range each {
		p := encode(&m)
		testutil.Golden(t, filepath.Join("testdata", name+".hex"), strings.ToUpper(strings.ReplaceAll(name, "-", " ")), p)
		got, err := decode(t, p)
		if err != nil || !bytes.Equal(encode(&got), p) {
			t.Errorf("%s: %v, decoded as %+v", name, err, got)
		}
		if m.Type <= hostwire.Index {
			p = p[:coreSize] // a shorter list of values is one, too
		}
		for n := range p {
			if _, err := decode(t, p[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes, and accepted", name, n)
			}
		}
		if _, err := decode(t, append(p, 0)); err == nil {
			t.Errorf("%s: a byte long, and accepted", name)
		}
	}
}

// Sizes of messages: of the host, and of the Core without values.
const (
	hostSize = 12
	coreSize = hostSize + 32 + 8 + 32 + 64 + 1 + 4 + 4
)

func altered(p []byte, at int, b byte) []byte {
	p = bytes.Clone(p)
	p[at] = b
	return p
}

func TestMessageLimits(t *testing.T) {
	counters := func(n int) []byte {
		return encode(&hostwire.Message{Type: hostwire.Counters, Values: make([]uint64, n)})
	}
	most := (hostwire.MaxMessage - coreSize) / 8
	event := encode(&hostwire.Message{Type: hostwire.Event})
	host := func(t hostwire.Type, instance uint64) []byte {
		return encode(&hostwire.Message{Type: t, Instance: instance})
	}
	for _, c := range []struct {
		name  string
		input []byte
		ok    bool
	}{
		{"longest message", counters(most), true},
		{"longer", counters(most + 1), false},
		{"half a value", counters(1)[:coreSize+4], false},
		{"all counters", counters(len(hostwire.Stats{})), true},
		{"no type", altered(event, 3, 0), false},
		{"the Core's last type and one", altered(event, 3, byte(hostwire.Index)+1), false},
		{"a type before the host's first", altered(host(hostwire.Stop, 0), 3, byte(hostwire.TaskStarted)-1), false},
		{"the host's last type and one", altered(host(hostwire.Stop, 0), 3, byte(hostwire.Stop)+1), false},
		{"another version", altered(host(hostwire.Stop, 0), 2, hostwire.Version+1), false},
		{"another magic", altered(host(hostwire.Stop, 0), 1, 'T'), false},
		{"the host's with a field of the Core's", append(host(hostwire.TaskEnded, 7), event[hostSize:]...), false},
		{"to stop an instance", host(hostwire.Stop, 7), false},
		{"longest address", encode(&hostwire.Message{Type: hostwire.Ready, Address: strings.Repeat("a", hostwire.MaxAddress)}), true},
		{"zero byte inside address", encode(&hostwire.Message{Type: hostwire.Ready, Address: "a\x00b"}), false},
	} {
		if _, err := decode(t, c.input); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestDecodeDoesNotAlias: the buffer of a message is read into again.
func TestDecodeDoesNotAlias(t *testing.T) {
	for name, m := range each {
		p := encode(&m)
		want := bytes.Clone(p)
		got, err := decode(t, p)
		clear(p)
		if err != nil || !bytes.Equal(encode(&got), want) {
			t.Errorf("%s changed with its buffer", name)
		}
	}
}

// TestStatsCountEachThingInItsOwnPlace: no two counters share an index, all
// operations and codes have one.
func TestStatsCountEachThingInItsOwnPlace(t *testing.T) {
	var s hostwire.Stats
	for i := range hostwire.SyncLatency + hostwire.Buckets {
		s[i]++
	}
	for op := range hostwire.MaxOp {
		for code := range hostwire.MaxCode {
			s[hostwire.Requests(op, code)]++
		}
		for b := range hostwire.Buckets {
			s[hostwire.Latency(op, b)]++
		}
		s[hostwire.Micros(op)]++
	}
	for i, n := range s {
		if n != 1 {
			t.Fatalf("index %d is used %d times", i, n)
		}
	}
	for v := range 256 {
		if frames.ValidOperation(model.Operation(v)) && v >= hostwire.MaxOp {
			t.Errorf("operation %d is not counted", v)
		}
		if frames.ValidCode(model.Code(v)) != (v < hostwire.MaxCode) {
			t.Errorf("code %d: valid %v, and codes up to %d are counted", v, frames.ValidCode(model.Code(v)), hostwire.MaxCode-1)
		}
	}
	if !frames.ValidOperation(model.Operation(hostwire.MaxOp - 1)) {
		t.Errorf("%d is counted as the highest operation, and is none", hostwire.MaxOp-1)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range each {
		f.Add(encode(&m))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := decode(t, p); err == nil && !bytes.Equal(encode(&m), p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", m, encode(&m), p)
		}
	})
}
