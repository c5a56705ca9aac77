package control

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func pattern(first byte) (p [32]byte) {
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

// messages holds one message of each type.
var messages = map[string]Message{
	"ready":        {Type: Ready, Key: pattern(0x20), Address: "127.0.0.1:7433"},
	"start-task":   {Type: StartTask, Instance: 7, Measurement: pattern(0x40), Memory: 256 << 20},
	"stop-task":    {Type: StopTask, Instance: 7},
	"counters":     {Type: Counters, Values: []uint64{1, 2, 1 << 40}},
	"event":        {Type: Event, Reason: wire.ReasonDamagedRecord, Segment: 3, Offset: 4096},
	"anchor":       {Type: Anchor, Instance: 4711, Key: pattern(0xc0)},
	"task-started": {Type: TaskStarted, Instance: 7},
	"task-ended":   {Type: TaskEnded, Instance: 7},
	"stop":         {Type: Stop},
}

// TestGoldenMessages pins every message. A golden file is a comment line and
// the message in hexadecimal.
func TestGoldenMessages(t *testing.T) {
	for name, m := range messages {
		p := Append(nil, &m)
		path := filepath.Join("testdata", name+".hex")
		if *update {
			text := "# " + strings.ToUpper(strings.ReplaceAll(name, "-", " ")) + "\n" + hex.EncodeToString(p) + "\n"
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, digits, _ := strings.Cut(string(text), "\n")
		if want := strings.TrimSpace(digits); hex.EncodeToString(p) != want {
			t.Errorf("%s is encoded differently now:\n got %x\nwant %s", name, p, want)
		}
		got, err := Decode(p)
		if err != nil || !bytes.Equal(Append(nil, &got), p) {
			t.Errorf("%s: %v, decoded as %+v", name, err, got)
		}
		if m.Type <= Anchor {
			p = p[:coreSize] // a shorter list of values is one, too
		}
		for n := range p {
			if _, err := Decode(p[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes, and accepted", name, n)
			}
		}
		if _, err := Decode(append(p, 0)); err == nil {
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
	counters := func(n int) []byte { return Append(nil, &Message{Type: Counters, Values: make([]uint64, n)}) }
	most := (MaxMessage - coreSize) / 8
	event := Append(nil, &Message{Type: Event})
	host := func(t Type, instance uint64) []byte { return Append(nil, &Message{Type: t, Instance: instance}) }
	for _, c := range []struct {
		name  string
		input []byte
		ok    bool
	}{
		{"longest message", counters(most), true},
		{"longer", counters(most + 1), false},
		{"half a value", counters(1)[:coreSize+4], false},
		{"all counters", counters(len(Stats{})), true},
		{"no type", altered(event, 3, 0), false},
		{"the Core's last type and one", altered(event, 3, byte(Anchor)+1), false},
		{"a type before the host's first", altered(host(Stop, 0), 3, byte(TaskStarted)-1), false},
		{"the host's last type and one", altered(host(Stop, 0), 3, byte(Stop)+1), false},
		{"another version", altered(host(Stop, 0), 2, Version+1), false},
		{"another magic", altered(host(Stop, 0), 1, 'T'), false},
		{"the host's with a field of the Core's", append(host(TaskEnded, 7), event[hostSize:]...), false},
		{"to stop an instance", host(Stop, 7), false},
		{"longest address", Append(nil, &Message{Type: Ready, Address: strings.Repeat("a", MaxAddress)}), true},
		{"zero byte inside address", Append(nil, &Message{Type: Ready, Address: "a\x00b"}), false},
	} {
		if _, err := Decode(c.input); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestDecodeDoesNotAlias: the buffer of a message is read into again.
func TestDecodeDoesNotAlias(t *testing.T) {
	for name, m := range messages {
		p := Append(nil, &m)
		want := bytes.Clone(p)
		got, err := Decode(p)
		clear(p)
		if err != nil || !bytes.Equal(Append(nil, &got), want) {
			t.Errorf("%s changed with its buffer", name)
		}
	}
}

// TestStatsCountEachThingInItsOwnPlace: no two counters share an index, all
// operations and codes have one.
func TestStatsCountEachThingInItsOwnPlace(t *testing.T) {
	var s Stats
	for i := range SyncLatency + Buckets {
		s[i]++
	}
	for op := range MaxOp {
		for code := range MaxCode {
			s[Requests(op, code)]++
		}
		for b := range Buckets {
			s[Latency(op, b)]++
		}
		s[Micros(op)]++
	}
	for i, n := range s {
		if n != 1 {
			t.Fatalf("index %d is used %d times", i, n)
		}
	}
	for v := range 256 {
		if wire.Operation(v).Valid() && v >= MaxOp || frames.ValidCode(wire.Code(v)) != (v < MaxCode) {
			t.Errorf("operation or code %d is not counted", v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages {
		f.Add(Append(nil, &m))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := Decode(p); err == nil && !bytes.Equal(Append(nil, &m), p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", m, Append(nil, &m), p)
		}
	})
}
