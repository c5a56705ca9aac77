package taskwire

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/big"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/internal/testutil"
)

// pattern returns 32 consecutive bytes from first on.
func pattern(first byte) (p [32]byte) {
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

// appendAnswer appends the frame of an answer to p, like a Task.
func appendAnswer(p []byte, a Answer) []byte {
	var payload []byte
	switch a.Type {
	case Failed:
		payload = []byte{byte(a.Failure)}
	case Found:
		payload = []byte{byte(a.State)}
		for _, id := range a.Found {
			payload = append(payload, id[:]...)
		}
	case Blob:
		payload = append(binary.BigEndian.AppendUint64(nil, a.Number), a.Blob...)
	case Set:
		payload = codec.Writer(nil).Bool(a.Changed)
		for _, n := range a.Dropped {
			payload = binary.BigEndian.AppendUint64(payload, n)
		}
	case Differ, Lacks:
		payload = a.Bits
	}
	return append(AppendHeader(p, Header{a.Type, len(payload), a.Seq}), payload...)
}

// decodeAnswer decodes a single whole frame from a Task, like the Core.
func decodeAnswer(p []byte) (Answer, error) {
	in := bytes.NewReader(p)
	a, err := ReadAnswer(in, make([]byte, MaxAnswerFrame))
	if err == nil && in.Len() > 0 {
		err = codec.ErrMalformed
	}
	return a, err
}

// owner is the alias in the golden frames.
const owner Owner = 0xc0c1c2c3c4c5c6c7

// golden queries: the first page of all objects, a further page of the objects of one owner, and
// the matches among two candidates.
var (
	firstPage = Query{Limit: 10, Predicate: []byte(">= 30 and < 40")}
	laterPage = Query{Limit: 2, Owner: owner, After: []identity.ID{pattern(0x80), pattern(0xa0)},
		Predicate: []byte(">= 30 and < 40")}
	amongTwo = Query{Limit: 10, Within: []identity.ID{pattern(0x20), pattern(0x40)}, Predicate: []byte(">= 30 and < 40")}
)

// configuration is the golden configuration.
var configuration = Configuration{Type: model.TypeInt64, Ordered: true, MaxResults: 1000, Shelf: 1 << 30,
	Config: []byte(`{"path":"/age"}`)}

// toTask holds a frame of each type that the Core sends. In this order the frames are a
// conversation: the Core sends changes, then queries.
var toTask = []struct {
	name, comment string
	frame         []byte
	want          Header
}{
	{"configure", "CONFIGURE: an ordered index of int64, at most 1000 results, a shelf of 1 GiB, and the configuration of its maker",
		AppendConfigure(nil, 1, &configuration), Header{Configure, 29, 1}},
	{"insert", "INSERT of record 41: an identity, the alias of its owner, and its input",
		appendInsert(nil, 2, 41, pattern(0x20), []byte(`{"age":36}`)), Header{Insert, 58, 2}},
	{"remove", "REMOVE by record 42", AppendRemove(nil, 3, 42, pattern(0x60)), Header{Remove, 40, 3}},
	{"search", "SEARCH for at most 10 identities, of all owners, from the first on",
		AppendSearch(nil, 4, &firstPage), Header{Search, 31, 4}},
	{"search-after", "SEARCH for at most 2 identities of one owner, after two identities",
		AppendSearch(nil, 5, &laterPage), Header{Search, 95, 5}},
	{"stored", "STORED: blob 7 of the shelf", appendStored(nil, 6, 7, []byte("blob")), Header{Stored, 12, 6}},
	{"save", "SAVE: at most 4096 bytes, after earlier blobs", AppendSave(nil, 7, 4096, false), Header{Save, 5, 7}},
	{"save-anew", "SAVE: at most 131056 bytes, on an empty shelf", AppendSave(nil, 8, MaxBlob, true), Header{Save, 5, 8}},
	{"runs", "RUNS: three objects up to the first value, and none up to the highest", AppendRuns(nil, 9, []Run{
		{identity.Value(slices.Repeat([]byte{0x80}, 16)), 3, Sum{1, 2}}, {identity.Value(slices.Repeat([]byte{0xff}, 16)), 0, Sum{}}}),
		Header{Runs, 72, 9}},
	{"list", "LIST: the two objects of a range", AppendList(nil, 10, identity.Value{}, identity.Value(slices.Repeat([]byte{0x80}, 16)),
		[]identity.ID{pattern(0x20), pattern(0x40)}), Header{List, 96, 10}},
	{"void", "VOID: the object of record 43 has no input", AppendVoid(nil, 11, 43, pattern(0x60)), Header{Void, 40, 11}},
	{"search-within", "SEARCH for at most 10 identities, of all owners, among two candidates",
		AppendSearch(nil, 12, &amongTwo), Header{Search, 95, 12}},
}

// fromTask holds frames of each type that a Task sends, and their content.
var fromTask = []struct {
	name, comment string
	answer        Answer
}{
	{"applied", "APPLIED: all changes up to number 3 are done", Answer{Type: Applied, Seq: 3}},
	{"found", "FOUND: one identity, the whole answer to number 4", Answer{Type: Found, Seq: 4, Found: []identity.ID{pattern(0x20)}}},
	{"found-continues", "FOUND: two identities, the first part of the answer to number 4",
		Answer{Type: Found, Seq: 4, State: StateContinues, Found: []identity.ID{pattern(0x20), pattern(0x40)}}},
	{"found-more", "FOUND: two identities, the limit of number 5, and more match",
		Answer{Type: Found, Seq: 5, State: StateMore, Found: []identity.ID{pattern(0x20), pattern(0x40)}}},
	{"found-nothing", "FOUND: no object matches number 4", Answer{Type: Found, Seq: 4, Found: []identity.ID{}}},
	{"blob", "BLOB: number 7, in answer to number 7", Answer{Type: Blob, Seq: 7, Number: 7, Blob: []byte("blob")}},
	{"set", "SET: the blobs since the last SET count, and numbers 3 and 5 do not",
		Answer{Type: Set, Seq: 7, Changed: true, Dropped: []uint64{3, 5}}},
	{"set-kept", "SET: the shelf stays as it was", Answer{Type: Set, Seq: 7, Dropped: []uint64{}}},
	{"differ", "DIFFER: the second of two runs differs", Answer{Type: Differ, Seq: 9, Bits: []byte{0x40}}},
	{"lacks", "LACKS: the Task holds the second of two identities", Answer{Type: Lacks, Seq: 10, Bits: []byte{0x80}}},
	{"failed", "FAILED: the input of number 2 is refused", Answer{Type: Failed, Seq: 2, Failure: FailInput}},
	{"failed-expensive", "FAILED: number 4 takes too much work", Answer{Type: Failed, Seq: 4, Failure: FailExpensive}},
	{"failed-gone", "FAILED: none of the identities before the page that number 5 asks for is held",
		Answer{Type: Failed, Seq: 5, Failure: FailGone}},
}

// TestGoldenFramesToTasks fixes the bytes of every frame that the Core sends. A test of sdk
// reads the same files as a Task.
func TestGoldenFramesToTasks(t *testing.T) {
	for _, g := range toTask {
		testutil.Golden(t, filepath.Join("testdata", g.name+".hex"), g.comment, g.frame)
		h, err := DecodeHeader(g.frame[:HeaderSize])
		if err != nil || h != g.want || len(g.frame) != HeaderSize+h.Len {
			t.Errorf("%s: %v, %d bytes with the header %+v, want %+v", g.name, err, len(g.frame), h, g.want)
		}
		if _, err := decodeAnswer(g.frame); err == nil {
			t.Errorf("the Core accepts the frame %s from a Task; only the Core may send it", g.name)
		}
	}
}

// TestGoldenFramesFromTasks fixes the bytes of every frame that a Task sends. Shorter and longer
// frames must be refused.
func TestGoldenFramesFromTasks(t *testing.T) {
	for _, g := range fromTask {
		p := appendAnswer(nil, g.answer)
		testutil.Golden(t, filepath.Join("testdata", g.name+".hex"), g.comment, p)
		if a, err := decodeAnswer(p); err != nil || !reflect.DeepEqual(a, g.answer) {
			t.Errorf("%s: %v, decoded as %+v", g.name, err, a)
		}
		for n := range p {
			if _, err := decodeAnswer(p[:n]); err == nil {
				t.Errorf("%s: the Core accepts it cut to %d bytes", g.name, n)
			}
		}
		if _, err := decodeAnswer(append(p, 0)); err == nil {
			t.Errorf("%s: the Core accepts it with an additional byte", g.name)
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	u8 := func(at int, v byte) func(p []byte) []byte {
		return func(p []byte) []byte { p[at] = v; return p }
	}
	for _, c := range []struct {
		name  string
		spoil func(p []byte) []byte
		ok    bool
	}{
		{"as it is", func(p []byte) []byte { return p }, true},
		{"empty", func(p []byte) []byte { return nil }, false},
		{"one byte short", func(p []byte) []byte { return p[:HeaderSize-1] }, false},
		{"one byte long", func(p []byte) []byte { return append(p, 0) }, false},
		{"another first byte", u8(0, 'm'), false},
		{"the magic of the control channel", u8(1, 'C'), false},
		{"the version before", u8(2, Version-1), false},
		{"the next version", u8(2, Version+1), false},
		{"any type", u8(3, 255), true},
	} {
		p := AppendHeader(nil, Header{Found, 1, 1<<64 - 1})
		if _, err := DecodeHeader(c.spoil(p)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		p = AppendHeader(nil, Header{Applied, 0, 1<<64 - 1})
		if _, err := decodeAnswer(c.spoil(p)); err == nil && !c.ok {
			t.Errorf("%s: accepted from a Task", c.name)
		}
	}
}

// TestAnswerLengthsAreBoundedByTheirType for every possible type, before a byte of the payload
// is read.
func TestAnswerLengthsAreBoundedByTheirType(t *testing.T) {
	const longest = 1 + MaxChunk*identity.Size
	// The allowed lengths of each type: from, to, and the step between two of them.
	allowed := map[Type][3]int{Applied: {0, 0, 1}, Failed: {1, 1, 1}, Found: {1, longest, identity.Size},
		Blob: {9, 8 + MaxBlob, 1}, Set: {1, 1 + MaxDropped*8, 8}, Differ: {0, 512, 1}, Lacks: {0, 512, 1}}
	lengths := []int{0, 1, 2, 8, 9, 10, identity.Size - 1, identity.Size, 1 + identity.Size, 2 + identity.Size, 511, 512, 513,
		MaxDropped * 8, 1 + MaxDropped*8, 9 + MaxDropped*8, longest - identity.Size, 8 + MaxBlob, 9 + MaxBlob, longest - 1, longest,
		longest + 1, longest + identity.Size, model.MaxObject, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	for v := range 256 {
		for _, n := range lengths {
			f, want := Type(v), false
			if a, known := allowed[f]; known {
				want = n >= a[0] && n <= a[1] && (n-a[0])%a[2] == 0
			}
			in := &counted{in: io.MultiReader(bytes.NewReader(AppendHeader(nil, Header{f, n, 7})), ones{})}
			a, err := ReadAnswer(in, make([]byte, MaxAnswerFrame))
			if want && (a.Type != f || a.Seq != 7 || in.n != HeaderSize+n) || !want && (err != codec.ErrMalformed || in.n != HeaderSize) {
				t.Errorf("type %d with %d bytes: %v, %d bytes were read", f, n, err, in.n)
			}
		}
	}
	if MaxAnswerFrame != HeaderSize+longest {
		t.Errorf("MaxAnswerFrame is %d, want %d", MaxAnswerFrame, HeaderSize+longest)
	}
}

// counted counts the bytes that are read from it.
type counted struct {
	in io.Reader
	n  int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += n
	return n, err
}

// ones is an endless input of ones.
type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func TestAnswerLimits(t *testing.T) {
	found := func(n int) []byte {
		return appendAnswer(nil, Answer{Type: Found, Seq: 1, Found: make([]identity.ID, n)})
	}
	state := func(v byte) []byte { p := found(1); p[HeaderSize] = v; return p }
	set := func(changed bool, numbers ...uint64) []byte {
		return appendAnswer(nil, Answer{Type: Set, Seq: 1, Changed: changed, Dropped: numbers})
	}
	setState := func(v byte) []byte { p := set(true); p[HeaderSize] = v; return p }
	many := func(n int) (numbers []uint64) {
		for i := range n {
			numbers = append(numbers, uint64(i))
		}
		return numbers
	}
	failed := func(f Failure) []byte { return appendAnswer(nil, Answer{Type: Failed, Seq: 1, Failure: f}) }
	for _, c := range []struct {
		name  string
		input []byte
		ok    bool
	}{
		{"nothing found", found(0), true},
		{"a full chunk", found(MaxChunk), true},
		{"one more", found(MaxChunk + 1), false},
		{"the last frame", state(0), true},
		{"a frame that another follows", state(1), true},
		{"the last frame, at the limit", state(2), true},
		{"the first state that there is not", state(3), false},
		{"the highest state", state(255), false},
		{"a Set of no known state", setState(2), false},
		{"a kept Set with numbers", set(false, 1), false},
		{"a Set with numbers in descending order", set(true, 2, 1), false},
		{"a Set with a number twice", set(true, 2, 2), false},
		{"a Set of as many numbers as there may be", set(true, many(MaxDropped)...), true},
		{"a Set of one more", set(true, many(MaxDropped+1)...), false},
		{"no failure", failed(0), false},
		{"the first failure", failed(FailConfiguration), true},
		{"the last failure", failed(FailGone), true},
		{"the first failure that there is not", failed(FailGone + 1), false},
		{"the highest failure", failed(255), false},
	} {
		if _, err := decodeAnswer(c.input); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPayloadIsHeldToItsHeader: a frame ends where its header says. An earlier end of input
// differs from an end between two frames.
func TestPayloadIsHeldToItsHeader(t *testing.T) {
	buf := make([]byte, MaxAnswerFrame)
	head := AppendHeader(nil, Header{Found, 1 + identity.Size, 1})
	for _, n := range []int{0, 1, identity.Size, 1 + identity.Size, 2 + identity.Size, 1 + 2*identity.Size} {
		in := bytes.NewReader(append(bytes.Clone(head), make([]byte, n)...))
		a, err := ReadAnswer(in, buf)
		if whole := n >= 1+identity.Size; whole != (err == nil) || whole && (len(a.Found) != 1 || in.Len() != n-1-identity.Size) ||
			!whole && err != io.ErrUnexpectedEOF {
			t.Errorf("a payload of %d bytes whose header says %d: %v, %+v, %d bytes are left", n, 1+identity.Size, err, a, in.Len())
		}
	}
	for n := range HeaderSize {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := ReadAnswer(bytes.NewReader(head[:n]), buf); err != want {
			t.Errorf("an end of input after %d bytes returns %v", n, err)
		}
	}
}

// TestAnswerDoesNotAlias: a decoded answer stays the same when its buffer is reused.
func TestAnswerDoesNotAlias(t *testing.T) {
	for _, g := range fromTask {
		p := appendAnswer(nil, g.answer)
		a, err := decodeAnswer(p)
		for i := range p {
			p[i] = ^p[i]
		}
		if err != nil || !reflect.DeepEqual(a, g.answer) {
			t.Errorf("%s changed with its buffer: %v, %+v", g.name, err, a)
		}
	}
}

// TestLongestFrames: an Insert of the largest input is the longest frame that a Task must be
// able to read.
func TestLongestFrames(t *testing.T) {
	const (
		longest       = HeaderSize + 48 + model.MaxObject
		longestSearch = HeaderSize + 17 + (model.MaxAfter+MaxWithin)*identity.Size + model.MaxSubQuery
	)
	text := make([]byte, model.MaxSubQuery)
	if n := len(appendInsert(nil, 1, 1, identity.ID{}, make([]byte, model.MaxObject))); n != longest {
		t.Errorf("the longest Insert has %d bytes, want %d", n, longest)
	}
	q := Query{Limit: 1, After: make([]identity.ID, model.MaxAfter), Within: make([]identity.ID, MaxWithin), Predicate: text}
	if n := len(AppendSearch(nil, 1, &q)); n != longestSearch || n >= longest {
		t.Errorf("the longest Search has %d bytes, want %d", n, longestSearch)
	}
	for _, f := range [][]byte{AppendConfigure(nil, 1, &Configuration{MaxResults: 1, Config: text}), AppendRemove(nil, 1, 1, identity.ID{})} {
		if len(f) >= longest {
			t.Errorf("a frame of type %d has %d bytes, want fewer than %d", f[3], len(f), longest)
		}
	}
}

// TestSearchLayout compares the parts of a Search with the layout, for each number of
// identities after which the answer begins, and for some numbers of candidates.
func TestSearchLayout(t *testing.T) {
	for n := range model.MaxAfter + 1 {
		for _, candidates := range []int{0, 1, 258} {
			q := Query{Limit: 0x01020304, Owner: owner, Predicate: []byte("p")}
			want := []byte{1, 2, 3, 4, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, byte(n)}
			for i := range n {
				id := identity.ID(pattern(byte(16 * i)))
				q.After = append(q.After, id)
				want = append(want, id[:]...)
			}
			want = append(want, 0, 0, byte(candidates>>8), byte(candidates))
			for i := range candidates {
				id := identity.ID{0: byte(i >> 8), 1: byte(i)}
				q.Within = append(q.Within, id)
				want = append(want, id[:]...)
			}
			want = append(want, 'p')
			p := AppendSearch(nil, 9, &q)
			h, err := DecodeHeader(p[:HeaderSize])
			if err != nil || h != (Header{Search, len(want), 9}) {
				t.Errorf("%d identities, %d candidates: header %+v, %v; want %d bytes of payload", n, candidates, h, err, len(want))
			}
			if !bytes.Equal(p[HeaderSize:], want) {
				t.Errorf("%d identities, %d candidates: the payload is\n%x, want\n%x", n, candidates, p[HeaderSize:], want)
			}
		}
	}
}

// TestFramesAreAppended: one buffer collects many frames for a single write.
func TestFramesAreAppended(t *testing.T) {
	p := []byte("before")
	p = AppendConfigure(p, 1, &configuration)
	p = appendInsert(p, 2, 41, pattern(0x20), []byte(`{"age":36}`))
	p = AppendRemove(p, 3, 42, pattern(0x60))
	p = AppendSearch(p, 4, &firstPage)
	p = AppendSearch(p, 5, &laterPage)
	want := []byte("before")
	for _, g := range toTask[:5] {
		want = append(want, g.frame...)
	}
	if !bytes.Equal(p, want) {
		t.Errorf("gathered\n%x, want\n%x", p, want)
	}
}

// Each frame has exactly one encoding: if a decoder accepts bytes, encoding the result gives the
// same bytes.

func FuzzDecodeHeader(f *testing.F) {
	for _, g := range toTask {
		f.Add(g.frame[:HeaderSize])
	}
	for _, g := range fromTask {
		f.Add(appendAnswer(nil, g.answer)[:HeaderSize])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if h, err := DecodeHeader(p); err == nil && !bytes.Equal(AppendHeader(nil, h), p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", h, AppendHeader(nil, h), p)
		}
		_, _ = ReadAnswer(io.MultiReader(bytes.NewReader(p), ones{}), make([]byte, MaxAnswerFrame)) // endless input must not exceed the buffer
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, g := range toTask {
		f.Add(g.frame)
	}
	for _, g := range fromTask {
		f.Add(appendAnswer(nil, g.answer))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if a, err := decodeAnswer(p); err == nil && !bytes.Equal(appendAnswer(nil, a), p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", a, appendAnswer(nil, a), p)
		}
	})
}

// TestBits: a bitmap must have a bit for each item, and no other bit.
func TestBits(t *testing.T) {
	for _, c := range []struct {
		bits []byte
		n    int
		want bool
	}{
		{nil, 0, true}, {[]byte{0}, 0, false}, {nil, 1, false}, {[]byte{0x80}, 1, true}, {[]byte{0x40}, 1, false}, {[]byte{0xff}, 8, true}, {[]byte{0xff}, 7, false}, {[]byte{0xfe}, 7, true},
		{[]byte{0xff, 0x80}, 9, true}, {[]byte{0xff}, 9, false}, {[]byte{0xff, 0}, 8, false}, {[]byte{0xff, 0x40}, 9, false},
	} {
		a := Answer{Bits: c.bits}
		if a.Covers(c.n) != c.want {
			t.Errorf("the bitmap %x covers %d items: %v, want %v", c.bits, c.n, !c.want, c.want)
		}
	}
	a := Answer{Bits: []byte{0x21, 0x80}}
	for i := range 9 {
		if want := i == 2 || i == 7 || i == 8; a.Bit(i) != want {
			t.Errorf("bit %d of %x is %v, want %v", i, a.Bits, !want, want)
		}
	}
}

// TestSum compares sums of tags with those of math/big, modulo 2^128.
func TestSum(t *testing.T) {
	want, modulus := new(big.Int), new(big.Int).Lsh(big.NewInt(1), 128)
	var sum Sum
	for i := range 300 {
		id := identity.ID(pattern(byte(i)))
		for k := range id[16:] {
			id[16+k] = ^id[16+k] | byte(i)
		}
		sum.Add(&id)
		want.Add(want, new(big.Int).SetBytes(id[16:])).Mod(want, modulus)
		got := new(big.Int).Add(new(big.Int).Lsh(new(big.Int).SetUint64(sum[0]), 64), new(big.Int).SetUint64(sum[1]))
		if got.Cmp(want) != 0 {
			t.Fatalf("the sum of %d tags is %x, want %x", i+1, got, want)
		}
	}
}

// appendStored appends a whole Stored frame to p.
func appendStored(p []byte, seq, number uint64, blob []byte) []byte {
	return append(AppendStoredHead(p, seq, number, len(blob)), blob...)
}

// appendInsert appends a whole Insert frame to p, of an object of the golden owner.
func appendInsert(p []byte, seq, lsn uint64, id identity.ID, input []byte) []byte {
	return append(AppendInsertHead(p, seq, lsn, id, owner, len(input)), input...)
}
