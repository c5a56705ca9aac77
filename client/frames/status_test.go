package frames

import (
	"bytes"
	"path/filepath"
	"testing"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// appendStatus encodes an item as the Core does.
func appendStatus(s *StatusItem) []byte {
	numbers := s.numbers()
	w := codec.Writer(nil).U8(byte(s.Kind), byte(s.State), byte(len(numbers)))
	for _, n := range numbers {
		w = w.U64(*n)
	}
	name, task := "", ""
	switch s.Kind {
	case StatusCollection:
		name = s.Collection
	case StatusIndex:
		name, task = s.Index, s.Task
	case StatusTask:
		name = s.Task
	}
	w = w.Text(s.Collection, model.MaxIdentifier).Text(name, model.MaxIdentifier).Text(task, model.MaxIdentifier).
		U8(byte(s.Type), byte(s.Flags)).Bytes(s.Principal[:]).U32(0).Text(s.Label, model.MaxLabel)
	if s.Row != nil {
		w = AppendRow(w, s.Row)
	}
	return w
}

var row = model.Row{Operations: TaskSearch | TaskCount, MaxInput: 1, MaxResults: 1, Deadline: 1, Memory: 1}

func TestStatusLimits(t *testing.T) {
	of := func(s StatusItem) []byte { return appendStatus(&s) }
	set := func(p []byte, at int, b byte) []byte {
		p[at] = b
		return p
	}
	bad := row
	bad.Operations = 0
	grant := of(StatusItem{Kind: StatusGrant})
	const atNumbers, atCollection, atName, atTask, atOwner = 2, 3, 35, 67, 133 // in an item without numbers
	const number = 8                                                           // bytes of one
	for _, c := range []struct {
		name  string
		input []byte
		ok    bool
	}{
		{"nothing", nil, false},
		{"the server", of(StatusItem{Kind: StatusServer, Objects: 1, GivenBackBytes: 13}), true},
		{"a collection", of(StatusItem{Kind: StatusCollection, Collection: "c", Objects: 1}), true},
		{"a collection of another name", set(of(StatusItem{Kind: StatusCollection, Collection: "c"}), atName+number, 'd'), false},
		{"a collection with a Task", set(of(StatusItem{Kind: StatusCollection, Collection: "c"}), atTask+number, 't'), false},
		{"an index", of(StatusItem{Kind: StatusIndex, Collection: "c", Index: "i", Task: "t", State: model.IndexServing}), true},
		{"an index with a configuration", append(of(StatusItem{Kind: StatusIndex, Collection: "c", Index: "i", Task: "t"}), 0), false},
		{"a principal", of(StatusItem{Kind: StatusPrincipal, Label: "alice"}), true},
		{"a principal with an owner", set(of(StatusItem{Kind: StatusPrincipal}), atOwner+3, 1), false},
		{"a grant", grant, true},
		{"a byte short", grant[:len(grant)-1], false},
		{"a byte long", append(bytes.Clone(grant), 0), false},
		{"a number too many", append(set(bytes.Clone(grant), atNumbers, 1), make([]byte, number)...), false},
		{"a number too few", set(of(StatusItem{Kind: StatusCollection}), atNumbers, 0), false},
		{"more numbers than bytes", set(bytes.Clone(grant), atNumbers, 255), false},
		{"a collection's name with a zero byte inside", set(bytes.Clone(grant), atCollection+1, 'c'), false},
		{"a grant with a name", set(bytes.Clone(grant), atName, 'n'), false},
		{"a grant with a Task", set(bytes.Clone(grant), atTask, 't'), false},
		{"a Task with its row", of(StatusItem{Kind: StatusTask, Task: "t", Row: &row}), true},
		{"a Task without", of(StatusItem{Kind: StatusTask, Task: "t"}), false},
		{"a Task with a row without sense", of(StatusItem{Kind: StatusTask, Task: "t", Row: &bad}), false},
		{"a Task of a Task", set(of(StatusItem{Kind: StatusTask, Task: "t", Row: &row}), atTask, 't'), false},
		{"a row for what is no Task", of(StatusItem{Kind: StatusGrant, Row: &row}), false},
	} {
		if s, err := DecodeStatus(c.input); (err == nil) != c.ok {
			t.Errorf("%s: %v, %+v", c.name, err, s)
		}
	}
	known := map[StatusKind]bool{StatusServer: true, StatusCollection: true, StatusIndex: true, StatusTask: true, StatusPrincipal: true, StatusGrant: true}
	for kind := range 256 {
		s := StatusItem{Kind: StatusKind(kind)}
		if s.Kind == StatusTask {
			s.Row = &row
		}
		if _, err := DecodeStatus(appendStatus(&s)); (err == nil) != known[s.Kind] {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

// FuzzStatus: what is accepted is, encoded again, the same bytes. It begins with the
// frames that the Core made.
func FuzzStatus(f *testing.F) {
	paths, err := filepath.Glob("../../core/wire/testdata/reply-status-*.hex")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no golden frames: %v", err)
	}
	for _, path := range paths {
		f.Add(testutil.ReadGolden(f, path)[wire.ReplyHeaderSize:])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := DecodeStatus(p)
		if err == nil && !bytes.Equal(appendStatus(&s), p) {
			t.Fatalf("encoded again as\n%x, was\n%x", appendStatus(&s), p)
		}
	})
}
